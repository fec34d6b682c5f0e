"""Random streams of a batch, handed to one compiled call."""

import copy
import ctypes
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from synthanom.streams import KeyedStreams

Words = npt.NDArray[np.uint64]
COUNTER, KEY, POSITION, BUFFER, HALF = slice(0, 4), slice(4, 6), 6, slice(7, 11), 11  # of a state's 12 words
FULL = 4  # position of a buffer all of whose numbers are used


class PhiloxStates:
    """Philox streams as rows of numbers, which compiled code loads into one generator, one after another.

    Attributes
    ----------
    now, begin : uint64 (B, 12)
        Counter, key, place in the buffer, buffer, half of a number that was left, of each stream now and at first.

    Notes
    -----
    Setting a state through numpy's property takes as long as drawing a whole sample, so compiled code writes it where
    numpy keeps it. `PhiloxMemory` proves first, by the public property, that it knows where that is.
    """

    def __init__(self, begin: Words, owners: Sequence[np.random.Generator] | None = None) -> None:
        self.begin = begin
        self.now = begin.copy()
        self._owners = owners

    @classmethod
    def of_keys(cls, keys: Words) -> "PhiloxStates":
        """Fresh streams with these keys, uint64 (B, 2)."""
        words = np.zeros((keys.shape[0], 12), dtype=np.uint64)
        words[:, KEY], words[:, POSITION] = keys, FULL
        return cls(words)

    @classmethod
    def of_generators(cls, generators: Sequence[np.random.Generator]) -> "PhiloxStates":
        """Streams that go on from where generators are; `finish` and `write_back` move these."""
        words = np.zeros((len(generators), 12), dtype=np.uint64)
        for row, generator in zip(words, generators, strict=True):
            row[:] = pack(generator.bit_generator.state)
        return cls(words, generators)

    def generator(self, index: int) -> np.random.Generator:
        """Stream `index` as it was given: a new generator."""
        philox = np.random.Philox(key=0)
        philox.state = cast(Any, unpack(self.begin[index]))
        return np.random.Generator(philox)

    def finish(self, index: int, generator: np.random.Generator) -> None:
        """Leave stream `index` where `generator` is."""
        self.now[index] = pack(generator.bit_generator.state)

    def write_back(self) -> None:
        """Move the generators that the streams were taken from to where these are now."""
        for words, owner in zip(self.now, self._owners or (), strict=self._owners is not None):
            owner.bit_generator.state = unpack(words)


class GeneratorStates:
    """Streams of any bit generators, drawn from one by one."""

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self.generators = tuple(generators)
        self._begin = [copy.deepcopy(g.bit_generator.state) for g in generators]

    def generator(self, index: int) -> np.random.Generator:
        """Stream `index` as it was given: a new generator."""
        bits = type(self.generators[index].bit_generator)()
        bits.state = self._begin[index]
        return np.random.Generator(bits)

    def finish(self, index: int, generator: np.random.Generator) -> None:
        """Leave stream `index` where `generator` is."""
        self.generators[index].bit_generator.state = generator.bit_generator.state

    def write_back(self) -> None:
        """Nothing to do: the generators themselves were drawn from."""


class PhiloxMemory:
    """One Philox generator and views of the memory in which numpy keeps its state.

    Attributes
    ----------
    generator : numpy Generator
    counter, key, rest : uint64 (4,), (2,), (6,)
        Views: the rest is place in the buffer, buffer, and what is left of a number of 64 bits.
    """

    def __init__(self) -> None:
        philox = np.random.Philox(key=0)
        self.generator = np.random.Generator(philox)
        address = philox.ctypes.state_address
        words = _view(address, 8)
        self.counter, self.key, self.rest = _view(int(words[0]), 4), _view(int(words[1]), 2), words[2:]

    def is_as_expected(self) -> bool:
        """Whether numbers written to the views are what numpy's public property then reads."""
        probe = np.arange(1, 13, dtype=np.uint64) * np.uint64(0x0123456789ABCD)
        probe[POSITION], probe[HALF] = 2, 0
        self.generator.bit_generator.state = unpack(probe)
        self.counter[:] = self.counter[::-1].copy()
        self.key[:] = self.key[::-1].copy()
        self.rest[1:5] = self.rest[4:0:-1].copy()
        self.rest[0] = 3
        found = pack(self.generator.bit_generator.state)
        wanted = probe.copy()
        wanted[COUNTER], wanted[KEY], wanted[BUFFER] = probe[COUNTER][::-1], probe[KEY][::-1], probe[BUFFER][::-1]
        wanted[POSITION] = 3
        return bool(np.array_equal(found, wanted))


def _view(address: int, count: int) -> Words:
    return np.ctypeslib.as_array((ctypes.c_uint64 * count).from_address(address))


def pack(state: Any) -> Words:
    """The state of a Philox bit generator, as its property gives it, as 12 words."""
    words = np.zeros(12, dtype=np.uint64)
    words[COUNTER], words[KEY] = state["state"]["counter"], state["state"]["key"]
    words[POSITION], words[BUFFER] = state["buffer_pos"], state["buffer"]
    words[HALF] = int(state["has_uint32"]) | (int(state["uinteger"]) << 32)
    return words


def unpack(words: Words) -> dict[str, Any]:
    """What `pack` was given."""
    half = int(words[HALF])
    return {
        "bit_generator": "Philox",
        "state": {"counter": words[COUNTER].copy(), "key": words[KEY].copy()},
        "buffer": words[BUFFER].copy(),
        "buffer_pos": int(words[POSITION]),
        "has_uint32": half & 0xFFFFFFFF,
        "uinteger": half >> 32,
    }


def states_of(streams: Sequence[np.random.Generator]) -> PhiloxStates | GeneratorStates:
    """Streams in the form that is drawn from fastest."""
    if not PhiloxMemory().is_as_expected():
        return GeneratorStates(list(streams))
    if isinstance(streams, KeyedStreams):
        return PhiloxStates.of_keys(streams.keys)
    if all(type(g.bit_generator) is np.random.Philox for g in streams):
        return PhiloxStates.of_generators(streams)
    return GeneratorStates(streams)
