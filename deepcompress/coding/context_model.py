"""The probabilities of labels that have contexts: how a label is cut into decisions, and predicted.

A label is a *flag* (isn't it 0?), a *sign*, and a *magnitude*: its rank among the centroids of its
sign, the one nearest to 0 having 1. Of a magnitude, first the number of its digits is told, in
unary, then the digits.

Each decision has a few contexts, such as the magnitudes of the elements to the left and above, or
how dense the column was so far. In each, a counter estimates the probability of a 1 from what it
saw. A mixer weighs the estimates, as logits, and learns from each decision whom to trust (Mahoney
2005, "Adaptive weighing of context models for lossless data compression"). Nothing is stored:
writer and reader learn the same from what both know.

Along a trellis (see `trellis`), the number of a rank takes the place of the magnitude, and which
ranks are allowed is a context, too: that of 0 has more or fewer others beside it.

`docs/format.md` has all of it. The arithmetic is that of integers, so that all machines agree.
"""

from ..structs import LabelLevels, LabelMatrix
from ..trellis import FOLLOWING, START, STATES

MOST_LOGIT = 2047  # logits are within -2047 … 2047, in units of 1/256
KNOTS = [32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357]
KNOTS += [64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514]
LEAST_P = 96  # of 2**16
COLUMN_LIMIT, ROW_LIMIT, LIMIT = 255, 63, 1023
ROW_HEAD_START = 4  # decisions that a row's counter takes over from the tensor's
FIRST_WEIGHT, MOST_WEIGHT, BIAS = 1 << 14, 1 << 20, 256
MOST_USES = 368
NODES = 144
FIRST_COUNTER = 1 << 31  # 22 bits of probability 1/2, above 10 bits of the count 0
# Sets of weights; those of flags in odd states of a trellis are apart.
FLAG_SET, SIGN_SET, MAGNITUDE_SET, ODD_FLAG_SET = 0, 8, 9, 9 + NODES

# Where each table of counters begins.
FLAG_COLUMN = 0
FLAG_SIZES = FLAG_COLUMN + 32 * 8
FLAG_NEAR = FLAG_SIZES + 512 * STATES
FLAG_DENSITY = FLAG_NEAR + 1024
FLAG_ABOVE = FLAG_DENSITY + 1024
SIGN_NEAR = FLAG_ABOVE + 512
SIGN_FAR = SIGN_NEAR + 27
SIGN_ALONE = SIGN_FAR + 9
MAGNITUDE_ALONE = SIGN_ALONE + 1
MAGNITUDE_LEFT = MAGNITUDE_ALONE + 4 * NODES
MAGNITUDE_ABOVE = MAGNITUDE_LEFT + 64 * NODES
MAGNITUDE_SUM = MAGNITUDE_ABOVE + 64 * NODES
COUNTERS = MAGNITUDE_SUM + 64 * NODES


def _squash() -> list[int]:
    """Return 2**16 times the probability of each logit, from -2047 on."""
    half = []
    for x in range(MOST_LOGIT + 1):
        at, rest = divmod(x, 128)
        half.append((KNOTS[at] * (128 - rest) + KNOTS[at + 1] * rest + 64) >> 7)
    return [65536 - p for p in half[:0:-1]] + half


def _stretch() -> list[int]:
    """Return the least logit of at least each probability, given by its first 12 bits."""
    logits, index = [], 0
    for t in range(4096):
        while index < 2 * MOST_LOGIT and SQUASH[index] < 16 * t + 8:
            index += 1
        logits.append(index - MOST_LOGIT)
    return logits


SQUASH = _squash()
STRETCH = _stretch()
RATES = [131072 // (2 * n + 3) for n in range(LIMIT + 1)]
DENSITIES = [min(max((x + 2048) >> 7, 0), 31) for x in STRETCH]
FOLLOWING_STATE: list[list[int]] = FOLLOWING.tolist()


class BitCoder:
    """An arithmetic coder of decisions, which decides, and knows what that is to be."""

    def code(self, p: int, bit: int) -> int:
        """Return what the decision is, a 1 having the probability p / 2**16."""
        raise NotImplementedError

    def end_label(self) -> None:
        """Learn that the decisions of a label are complete."""


def update(counter: int, bit: int, limit: int) -> int:
    """Return a counter that has seen a decision."""
    n = counter & 1023
    p = counter >> 10
    if bit:
        p += ((1 << 22) - p) * RATES[n] >> 16
    else:
        p -= p * RATES[n] >> 16
    return p << 10 | (n + 1 if n < limit else n)


class ContextModel:
    """Counters and weights, which learn as labels are coded."""

    def __init__(self, coder: BitCoder) -> None:
        self._code = coder.code
        self._counters = [FIRST_COUNTER] * COUNTERS
        self._weights = [[FIRST_WEIGHT] * 5 + [0] for _ in range(8)]
        self._weights += [[FIRST_WEIGHT] * 3 + [0]]
        self._weights += [[FIRST_WEIGHT] * 4 + [0] for _ in range(NODES)]
        self._weights += [[FIRST_WEIGHT] * 5 + [0] for _ in range(8)]
        self._uses = [0] * len(self._weights)

    def decide(self, places: tuple[int, ...], set_: int, bit: int) -> int:
        """Code a decision that the counters at some places predict, mixed by a set of weights."""
        counters, weights = self._counters, self._weights[set_]
        logits = [STRETCH[counters[place] >> 20] for place in places]
        logits.append(BIAS)
        total = sum([x * w for x, w in zip(logits, weights, strict=True)]) >> 16
        p = SQUASH[min(max(total, -MOST_LOGIT), MOST_LOGIT) + MOST_LOGIT]
        p = min(max(p, LEAST_P), 65536 - LEAST_P)
        found = self._code(p, bit)
        uses = self._uses[set_]
        error = ((found << 16) - p) * (3 + 384 // (16 + uses)) >> 4
        self._uses[set_] = uses + (uses < MOST_USES)
        moved = [w + ((x * error + 8192) >> 14) for x, w in zip(logits, weights, strict=True)]
        weights[:] = [min(max(w, -MOST_WEIGHT), MOST_WEIGHT) for w in moved]
        for place in places:
            counters[place] = update(counters[place], found, LIMIT)
        return found

    def magnitude(self, alone: int, near: list[int], most: int, wanted: int) -> int:
        """Code a magnitude of 1 to `most`.

        `alone` is its sign, and 2 more in an odd state; `near` are the categories of neighbours.
        """
        w, ww, n, _, _, a, b = near
        contexts = (
            MAGNITUDE_ALONE + alone * NODES,
            MAGNITUDE_LEFT + 8 * w + a,
            MAGNITUDE_ABOVE + 8 * b + n,
            MAGNITUDE_SUM + 2 * w + ww + n + a + b,
        )

        def decide(node: int, bit: int) -> int:
            first, *others = contexts
            places = (first + node, *[context + 64 * node for context in others])
            return self.decide(places, MAGNITUDE_SET + node, bit)

        rest = 0  # digits after the first
        while rest < most.bit_length() - 1 and decide(rest, int(wanted >> (rest + 1) > 0)):
            rest += 1
        value = 1
        for digit in range(rest - 1, -1, -1):
            node = 8 + 16 * rest + (value if value < 8 else 8 + digit)
            can_be_1 = (2 * value + 1) << digit <= most
            value = 2 * value + (decide(node, wanted >> digit & 1) if can_be_1 else 0)
        return value


def category(magnitude: int) -> int:
    """Return 0, 1, 2, 3, or 4 to 7 for 4 and more, 8 and more, 16 and more, 32 and more."""
    return magnitude if magnitude < 3 else min(magnitude.bit_length() + 1, 7)


def code_labels(
    coder: BitCoder, matrix: LabelMatrix, levels: LabelLevels, labels: bytearray
) -> int:
    """Code all labels by a coder, which also finds them if it reads.

    Returns
    -------
    int
        Their number, or the first element that is to have a centroid where there is none.

    Raises
    ------
    FormatError
        As the coder.
    """
    model = ContextModel(coder)
    cols = matrix.cols
    along = int(levels.trellis)
    magnitudes = [magnitude + along >> along for magnitude in levels.magnitude.tolist()]
    categories = [category(magnitude) for magnitude in magnitudes]
    signs = [(m > 0) * (1 + neg) for m, neg in zip(levels.magnitude, levels.negative, strict=True)]
    signs = [int(sign) for sign in signs]
    negative, label_of = levels.negative.tolist(), levels.label.tolist()
    columns, whole, index = [FIRST_COUNTER] * cols, FIRST_COUNTER, 0
    for row in range(matrix.rows):
        row_class = min(row.bit_length(), 7)
        in_row = whole >> 10 << 10 | min(whole & 1023, ROW_HEAD_START)
        state = START
        for col in range(cols):
            beside = _neighbours(labels, matrix, row, col, index)
            near = [categories[label] for label in beside]
            w, ww, n, ne, nw, a, b = near
            flags = (w > 0) + 2 * (ww > 0) + 4 * (n > 0) + 8 * (ne > 0) + 16 * (nw > 0)
            flags += 32 * (a > 0) + 64 * (b > 0)
            own = columns[col]
            right = columns[col + 1] if col + 1 < cols else own
            around = (columns[col - 1] if col else own) + 2 * own + right >> 2
            row_density = DENSITIES[in_row >> 20]
            places = (
                FLAG_COLUMN + 8 * DENSITIES[own >> 20] + row_class,
                FLAG_SIZES + 512 * state + 64 * w + 8 * a + b,
                FLAG_NEAR + 8 * flags + row_density // 4,
                FLAG_DENSITY + 32 * DENSITIES[around >> 20] + row_density,
                FLAG_ABOVE + 64 * ww + 8 * n + ne,
            )
            label, magnitude, odd = labels[index], 0, state & 1
            set_ = (ODD_FLAG_SET if odd else FLAG_SET) + row_class
            flag = model.decide(places, set_, int(magnitudes[label] > 0))
            if flag:
                side = negative[label]
                most = [count + odd >> along for count in levels.count]
                if all(most):
                    s = [signs[label] for label in beside]
                    signed = (
                        SIGN_NEAR + 9 * s[0] + 3 * s[2] + s[5],
                        SIGN_FAR + 3 * s[1] + s[6],
                        SIGN_ALONE,
                    )
                    side = model.decide(signed, SIGN_SET, side)
                elif not any(most):
                    return index
                else:
                    side = int(most[0] == 0)
                magnitude = model.magnitude(2 * odd + side, near, most[side], magnitudes[label])
                labels[index] = label_of[side][(magnitude << along) - odd]
            if along:
                state = FOLLOWING_STATE[state][magnitude & 1]
            columns[col] = update(own, flag, COLUMN_LIMIT)
            in_row = update(in_row, flag, ROW_LIMIT)
            whole = update(whole, flag, LIMIT)
            index += 1
            coder.end_label()
    return index


def _neighbours(
    labels: bytearray, matrix: LabelMatrix, row: int, col: int, index: int
) -> tuple[int, int, int, int, int, int, int]:
    """Return the labels W, WW, N, NE, NW, A and B of an element; 0 beyond the edges."""
    cols = matrix.cols
    n = ne = nw = 0
    if row:
        n = labels[index - cols]
        ne = labels[index - cols + 1] if col + 1 < cols else 0
        nw = labels[index - cols - 1] if col else 0
    if matrix.kernel > 1:
        a = labels[index - matrix.width] if col >= matrix.width else 0
        b = labels[index - matrix.kernel] if col >= matrix.kernel else 0
    else:
        a, b = labels[index - 2 * cols] if row > 1 else 0, nw
    return labels[index - 1] if col else 0, labels[index - 2] if col > 1 else 0, n, ne, nw, a, b
