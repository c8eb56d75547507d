"""Bytes and operations read from a small module written by hand, loops times their trips."""

import pytest

from tf_logreg.plan.hlo import Module

# Eight blocks of 16 rows: each is read from memory once, into S(1), where two products use it.
LOOP = """HloModule small, is_scheduled=true

%cut (x: f32[128,128], i: s32[]) -> f32[16,128] {
  %x = f32[128,128]{1,0:T(8,128)} parameter(0)
  %i = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  ROOT %block = f32[16,128]{1,0:T(8,128)S(1)} dynamic-slice(%x, %i, %zero), dynamic_slice_sizes={16,128}
}

%body (s: (s32[], f32[128,128], f32[128,10])) -> (s32[], f32[128,128], f32[128,10]) {
  %s = (s32[]{:T(128)}, f32[128,128]{1,0:T(8,128)}, f32[128,10]{1,0:T(8,128)S(1)}) parameter(0)
  %n = s32[]{:T(128)} get-tuple-element(%s), index=0
  %x.1 = f32[128,128]{1,0:T(8,128)} get-tuple-element(%s), index=1
  %w = f32[128,10]{1,0:T(8,128)S(1)} get-tuple-element(%s), index=2
  %two = s32[]{:T(128)} constant(2)
  %block.1 = f32[16,128]{1,0:T(8,128)S(1)} fusion(%x.1, %n), kind=kLoop, calls=%cut, backend_config={"estimated_cycles":"100"}
  %z = f32[16,10]{1,0:T(8,128)S(1)} convolution(%block.1, %w), dim_labels=bf_io->bf, operand_precision={highest,highest}
  %g = f32[128,10]{1,0:T(8,128)S(1)} convolution(%block.1, %z), dim_labels=fb_io->bf, operand_precision={highest,highest}
  %next = s32[]{:T(128)} add(%n, %two)
  ROOT %out = (s32[]{:T(128)}, f32[128,128]{1,0:T(8,128)}, f32[128,10]{1,0:T(8,128)S(1)}) tuple(%next, %x.1, %g)
}

%condition (s.1: (s32[], f32[128,128], f32[128,10])) -> pred[] {
  %s.1 = (s32[]{:T(128)}, f32[128,128]{1,0:T(8,128)}, f32[128,10]{1,0:T(8,128)S(1)}) parameter(0)
  %n.1 = s32[]{:T(128)} get-tuple-element(%s.1), index=0
  %limit = s32[]{:T(128)} constant(16)
  ROOT %less = pred[]{:T(512)} compare(%n.1, %limit), direction=LT
}

ENTRY %main (x.2: f32[128,128], w.1: f32[128,10]) -> f32[128,10] {
  %x.2 = f32[128,128]{1,0:T(8,128)} parameter(0)
  %w.1 = f32[128,10]{1,0:T(8,128)} parameter(1)
  %zero.1 = s32[]{:T(128)} constant(0)
  %copy = s32[]{:T(128)} copy(%zero.1)
  %near = f32[128,10]{1,0:T(8,128)S(1)} copy(%w.1)
  %start = (s32[]{:T(128)}, f32[128,128]{1,0:T(8,128)}, f32[128,10]{1,0:T(8,128)S(1)}) tuple(%copy, %x.2, %near)
  %while = (s32[]{:T(128)}, f32[128,128]{1,0:T(8,128)}, f32[128,10]{1,0:T(8,128)S(1)}) while(%start), condition=%condition, body=%body
  %g.1 = f32[128,10]{1,0:T(8,128)S(1)} get-tuple-element(%while), index=2
  ROOT %far = f32[128,10]{1,0:T(8,128)} copy(%g.1)
}
"""
X, W = 4 * 128 * 128, 4 * 128 * 128  # w's ten columns are padded to a tile's 128


def test_loops_count_as_often_as_they_run():
    work = Module(LOOP).work()
    assert work.product_flops == 8 * 2 * (2 * 16 * 128 * 10)
    assert work.product_passes == 6 * work.product_flops
    assert work.cycles == 800
    scalars = 4 * 128 * (1 + 8 * 4)  # the counter, in a tile of its own, is read and compared in memory
    assert X + W <= work.bytes_read <= X + W + scalars
    assert W <= work.bytes_written <= W + scalars


def test_a_block_that_stays_in_memory_is_counted():
    near = Module(LOOP).work()
    far = Module(
        LOOP.replace("%block.1 = f32[16,128]{1,0:T(8,128)S(1)}", "%block.1 = f32[16,128]{1,0:T(8,128)}")
    )
    # Written once and read by both products.
    assert far.work().bytes_read - near.bytes_read == 2 * X
    assert far.work().bytes_written - near.bytes_written == X


def test_bfloat16_operands_need_half_the_passes():
    text = LOOP.replace("f32[16,128]", "bf16[16,128]").replace("f32[128,128]", "bf16[128,128]")
    work = Module(text).work()
    assert work.product_passes == 3 * work.product_flops


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("direction=LT", "direction=NE"),
        ("%limit = s32[]{:T(128)} constant(16)", "%limit = s32[]{:T(128)} get-tuple-element(%s.1), index=0"),
    ],
)
def test_a_loop_of_unknown_length_is_refused(before, after):
    with pytest.raises(ValueError, match="count up to a constant"):
        Module(LOOP.replace(before, after)).work()
