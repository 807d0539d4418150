"""Later."""


def main(minutes, seed):
    return 1
