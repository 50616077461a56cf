"""Nodes matched by steps over positions, all of them at once as the bits of an integer; for groups ``!()``.

The path is walked from its end to its beginning, and the pattern too. So, at a group ``!(x)``, the positions are known
from which the rest of the pattern matches: those from which ``x`` and the rest match are taken away from those from
which anything and the rest do, which is all that looking ahead asks for. Bit n of a number stands for the position that
is n characters before the end.
"""

from __future__ import annotations

from jobdeck_server.core.bundles.globparse import MARK, Any, Char, Group, Nodes, Set, Star


def match(nodes: Nodes, marked: str) -> bool:
    """Whether they match a whole path that is marked as ``globs`` does."""
    return bool(_Steps(marked).through(nodes, 1) >> len(marked) & 1)


class _Steps:
    def __init__(self, marked: str) -> None:
        self._at: dict[str, int] = {}  # where each character stands
        for position, char in enumerate(reversed(marked)):
            self._at[char] = self._at.get(char, 0) | 1 << position
        self._name = (1 << len(marked)) - 1 & ~self._at.get("/", 0) & ~self._at.get(MARK, 0)

    def through(self, nodes: Nodes, positions: int) -> int:
        """Where the nodes may begin if they end at one of these positions."""
        for node in reversed(nodes):
            if not positions:
                break
            positions = self._one(node, positions)
        return positions

    def _one(self, node: Char | Any | Star | Set | Group, positions: int) -> int:
        match node:
            case Char(char):
                return (positions & self._at.get(char, 0)) << 1
            case Any():
                return (positions & self._name) << 1
            case Star():
                return self._run(positions)
            case Set():
                held = sum(bits for char, bits in self._at.items() if char not in ("/", MARK) and node.holds(char))
                return (positions & held) << 1
            case Group():
                return self._group(node, positions)

    def _run(self, positions: int) -> int:
        """As far as a name goes: adding carries a bit through the ones that follow it (as Myers' matching does)."""
        name = self._name
        return positions | (((positions & name) + name) ^ name)

    def _group(self, group: Group, positions: int) -> int:
        once = self._either(group, positions)
        match group.kind:
            case "@":
                return once
            case "?":
                return positions | once
            case "!":
                return self._run(positions) & ~once
        reached = once
        fresh = once & ~positions
        while fresh:
            more = self._either(group, fresh)
            fresh = more & ~reached
            reached |= more
        return reached | positions if group.kind == "*" else reached

    def _either(self, group: Group, positions: int) -> int:
        found = 0
        for alternative in group.alternatives:
            found |= self.through(alternative, positions)
        return found
