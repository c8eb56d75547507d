"""What a program compiled for a TPU must not hold; each check raises AssertionError with the line."""

import re


def check_types(text):
    """No float64, which a TPU emulates, and no dimension that is known only when it runs."""
    for kind, pattern in (
        ("float64", r"\bf64\["),
        ("dynamic shape", r"\[[\d,]*<=\d"),
        ("string", r"\bopaque\["),
    ):
        found = re.search(pattern, text)
        assert not found, f"{kind}: {text[max(0, found.start() - 100) : found.end() + 100]}"


def check_precision(module):
    """Every product of the program, which feeds a gradient, is made in full precision."""
    products = list(module.products())
    assert products, "no product: nothing was checked"
    for product in products:
        precision = product.attribute("operand_precision")
        assert precision == "{highest,highest}", f"a product in low precision: {product.text[:200]}"


def check_reads(module, x_bytes, most):
    """The program moves at most so many times the bytes of X."""
    work = module.work()
    moved = (work.bytes_read + work.bytes_written) / x_bytes
    assert moved <= most, f"{moved:.2f} times the bytes of X are moved, more than {most}"
    return moved


def check_matrix_work(module, ideal, most=1.1):
    """Its products make at most so many times the operations that the formula needs."""
    share = module.work().product_flops / ideal
    assert 1 <= share <= most, f"{share:.3f} times the operations of the formula"
    return share
