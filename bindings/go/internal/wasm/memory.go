//go:build !svcauth_cgo

package wasm

import (
	"encoding/binary"

	"github.com/openchami/svcauth-go/internal/wasm/module"
)

// instance is one copy of the library with a memory of its own, in which secrets are wiped when they are not
// needed any more.
type instance struct {
	module *module.Module
	memory *[]byte

	slots    uint32 // for what calls give back, slotBytes long
	input    uint32 // for what goes into calls
	capacity uint32
	used     uint32 // of the input

	panicText uint32
}

const slotBytes = 160

// Places within the slots.
const (
	infoSlot  = 0 // the largest struct has 64 bytes
	textSlot  = 64
	lenSlot   = 68
	text2Slot = 72
	len2Slot  = 76
	errorSlot = 80
	outSlot   = 88
	wordSlot  = 96
	longSlot  = 104
)

func newInstance() *instance {
	i := &instance{module: module.New()}
	i.memory = i.module.Xmemory().Slice()
	i.reserve(0)
	i.panicText = uint32(i.module.Xsvcauth_panic_text())
	i.slots = uint32(i.module.Xsvcauth_alloc(slotBytes))
	if i.slots == 0 {
		panic("no memory")
	}
	return i
}

// reserve sees to it that the next call finds room to grow: memory that grows is copied, and what is left behind
// has to be wiped, which takes time.
func (i *instance) reserve(input int) {
	const least = 512 << 10
	need := least + 4*input
	if cap(*i.memory)-len(*i.memory) < need {
		grown := make([]byte, len(*i.memory), len(*i.memory)+need+least)
		copy(grown, *i.memory)
		clear(*i.memory)
		*i.memory = grown
	}
}

// tidy wipes what a call leaves behind.
func (i *instance) tidy() {
	clear((*i.memory)[i.input : i.input+i.used])
	i.used = 0
}

// wipe clears all memory; the instance is of no use then.
func (i *instance) wipe() {
	clear((*i.memory)[:cap(*i.memory)])
}

// room makes space for texts of so many bytes in all, to be filled with put.
func (i *instance) room(n int) {
	i.reserve(n)
	if uint32(n) <= i.capacity {
		return
	}
	if i.input != 0 {
		i.module.Xsvcauth_free(int32(i.input), int32(i.capacity))
	}
	i.input, i.capacity = 0, 0
	size := (n + 4095) &^ 4095
	pointer := i.module.Xsvcauth_alloc(int32(size))
	if pointer == 0 {
		panic("no memory")
	}
	i.input, i.capacity = uint32(pointer), uint32(size)
}

// put copies a text into the space that room made.
func put[T string | []byte](i *instance, text T) (pointer, length int32) {
	if len(text) == 0 {
		return 0, 0
	}
	at := i.input + i.used
	i.used += uint32(copy((*i.memory)[at:i.input+i.capacity], text))
	return int32(at), int32(len(text))
}

func (i *instance) slot(at uint32) int32 { return int32(i.slots + at) }

func (i *instance) u8(at uint32) bool { return (*i.memory)[i.slots+at] != 0 }
func (i *instance) u32(at uint32) uint32 {
	return binary.LittleEndian.Uint32((*i.memory)[i.slots+at:])
}
func (i *instance) u64(at uint32) uint64 {
	return binary.LittleEndian.Uint64((*i.memory)[i.slots+at:])
}

// bytes gives the text whose pointer and length stand in two slots; it stays in the memory.
func (i *instance) bytes(pointer, length uint32) []byte {
	p, n := i.u32(pointer), i.u32(length)
	return (*i.memory)[p : p+n]
}

// cString reads a text with a zero at its end.
func (i *instance) cString(at uint32) string {
	memory := *i.memory
	end := at
	for int(end) < len(memory) && memory[end] != 0 {
		end++
	}
	return string(memory[at:end])
}
