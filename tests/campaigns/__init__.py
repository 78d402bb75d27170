"""Programs that hunt for faults at length; tests run a shortened part of each."""
