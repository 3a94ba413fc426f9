package sim

import (
	"fmt"
	"hash/fnv"
	"os"
	"testing"
)

// digestsVariable names a file to which TestSimulation appends a line for each seed: what happened, in short. What changes nothing that
// is simulated changes no line.
const digestsVariable = "SHOAL_SIM_DIGESTS"

// digest says what happened: the time at the end, the next random number, what was counted, and a hash over what was told.
func (w *world) digest() string {
	h := fnv.New64a()
	for _, l := range w.trace { // without the arguments: how messages are written as text differs between programs
		_, _ = fmt.Fprintln(h, l.at.UnixNano(), l.format)
	}
	return fmt.Sprintf("%d %016x %016x %s %v", w.seed, h.Sum64(), w.rng.Uint64(), w.now.UTC().Format("15:04:05.000"), w.counts)
}

// keepDigest writes the line of a seed that was run.
func (w *world) keepDigest(t *testing.T) {
	name := os.Getenv(digestsVariable)
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprintln(f, w.digest())
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Error(err)
	}
}
