package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// testMachine keeps, per group, the number of commands and a hash over all of them in order, and a register per key. A command is a key
// of one byte and a value; its result is the register's previous value.
type testMachine struct {
	fail error
}

const (
	machineCount = 0x10
	machineHash  = 0x11
	machineReg   = 0x20
)

func machineKey(g GroupID, kind ...byte) []byte { return append(StatePrefix(g), kind...) }

func (m *testMachine) Apply(b *pebble.Batch, g GroupID, es []Entry) ([]any, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	count, hash, err := readMachine(b, g)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(es))
	for _, e := range es {
		if len(e.Data) == 0 {
			return nil, errors.New("empty command")
		}
		prev, _, err := getCopy(b, machineKey(g, machineReg, e.Data[0]))
		if err != nil {
			return nil, err
		}
		if err := b.Set(machineKey(g, machineReg, e.Data[0]), e.Data[1:], nil); err != nil {
			return nil, err
		}
		h := fnv.New64a()
		fmt.Fprintf(h, "%x %d %x", hash, e.Index, e.Data)
		hash = h.Sum64()
		count++
		out = append(out, string(prev))
	}
	err = errors.Join(b.Set(machineKey(g, machineCount), word(count), nil), b.Set(machineKey(g, machineHash), word(hash), nil))
	return out, err
}

func word(w uint64) []byte { return binary.LittleEndian.AppendUint64(nil, w) }

// readMachine returns how many commands the state of g holds, and the hash over them.
func readMachine(r pebble.Reader, g GroupID) (count, hash uint64, err error) {
	for k, w := range map[byte]*uint64{machineCount: &count, machineHash: &hash} {
		v, found, err := getCopy(r, machineKey(g, k))
		if err != nil {
			return 0, 0, err
		}
		if found {
			*w = binary.LittleEndian.Uint64(v)
		}
	}
	return count, hash, nil
}

func readRegister(r pebble.Reader, g GroupID, key byte) (string, error) {
	v, _, err := getCopy(r, machineKey(g, machineReg, key))
	return string(v), err
}

type atomicFlag = atomic.Bool
