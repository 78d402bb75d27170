"""The experiments of the paper: data, recipes, and runs that survive being killed."""
