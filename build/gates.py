"""The gates of late.py, as assembly: what the rest of the program calls by the names of the late part's functions.

A gate jumps to where its entry of late_gates leads. That is, to begin with, a few words that note the gate's number and go on to
late_enter, which keeps the arguments, has late_load() (c/late.c) fill late_gates, and jumps again. The registers used for that are
those which the ABIs leave to such code: r11 (System V, x86-64), x16 and x17 (AAPCS64).
"""

from recipe import ARCH

GATE = {
    "amd64": """
.globl {name}
.type {name}, @function
{name}: jmp *late_gates+8*{at}(%rip)
shut{at}: movl ${at}, %r11d
  jmp late_enter
""",
    "arm64": """
.globl {name}
.type {name}, %function
{name}: adrp x16, late_gates+8*{at}
  ldr x16, [x16, #:lo12:late_gates+8*{at}]
  br x16
shut{at}: mov x17, #{at}
  b late_enter
""",
}
ENTER = {
    "amd64": """
late_enter: push %rdi; push %rsi; push %rdx; push %rcx; push %r8; push %r9; push %rax; push %r10; push %r11
  call late_load
  pop %r11; pop %r10; pop %rax; pop %r9; pop %r8; pop %rcx; pop %rdx; pop %rsi; pop %rdi
  jmp *late_gates(,%r11,8)
""",
    "arm64": """
late_enter: stp x0, x1, [sp, #-96]!
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  stp x6, x7, [sp, #48]
  stp x8, x17, [sp, #64]
  str x30, [sp, #80]
  bl late_load
  ldr x30, [sp, #80]
  ldp x8, x17, [sp, #64]
  ldp x6, x7, [sp, #48]
  ldp x4, x5, [sp, #32]
  ldp x2, x3, [sp, #16]
  ldp x0, x1, [sp], #96
  adrp x16, late_gates
  add x16, x16, #:lo12:late_gates
  ldr x16, [x16, x17, lsl #3]
  br x16
""",
}
TABLE = """
.data
.balign 8
.globl late_gates
late_gates: {shut}
.section .rodata.late_count, "a"
.globl late_count
.balign 4
late_count: .long {count}
"""
OPEN = """
.section .rodata.late_table, "a"
.balign 8
.globl late_table
late_table: {names}
"""


def words(names: list[str]) -> str:
    """Return the assembler's line for a table of addresses."""
    return f".quad {', '.join(names)}" if names else ""


def gates(names: list[str]) -> str:
    """Return the gates of these names, for the program's first part."""
    code = "".join(GATE[ARCH].format(name=name, at=at) for at, name in enumerate(names))
    shut = words([f"shut{at}" for at in range(len(names))])
    return f".text{code}{ENTER[ARCH]}{TABLE.format(shut=shut, count=len(names))}"


def table(names: list[str]) -> str:
    """Return where the gates lead when they are open, for the late part: it is that part's entry."""
    return OPEN.format(names=words(names))
