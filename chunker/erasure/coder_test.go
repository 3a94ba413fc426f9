package erasure

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var profiles = []Profile{{1, 0}, {1, 1}, {2, 1}, {2, 2}, {4, 2}, {5, 3}, {8, 4}, {16, 8}}

func pattern(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{2}).Read(b)
	return b
}

// encoded returns the shards of a pattern of sealedLen bytes.
func encoded(t testing.TB, p Profile, sealedLen int) [][]byte {
	t.Helper()
	c, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	stripe := bytes.Repeat([]byte{0xee}, p.StripeSize(sealedLen)) // what a reused buffer holds
	copy(stripe, pattern(sealedLen))
	shards := c.Cut(nil, stripe, sealedLen)
	if err := c.Encode(shards); err != nil {
		t.Fatal(err)
	}
	return shards
}

func clone(shards [][]byte) [][]byte {
	out := make([][]byte, len(shards))
	for i := range shards {
		out[i] = bytes.Clone(shards[i])
	}
	return out
}

// subsets calls f with each set of up to most of n things, as a mask.
func subsets(n, most int, f func(mask uint)) {
	for mask := range uint(1) << n {
		count := 0
		for m := mask; m != 0; m &= m - 1 {
			count++
		}
		if count <= most {
			f(mask)
		}
	}
}

func TestEveryLossWithinParityIsRepaired(t *testing.T) {
	for _, p := range profiles[:7] {
		t.Run(p.String(), func(t *testing.T) {
			c, _ := New(p)
			want := encoded(t, p, 1000)
			subsets(p.Width(), int(p.M), func(mask uint) {
				shards := clone(want)
				required := make([]bool, p.Width())
				for i := range shards {
					if mask>>i&1 != 0 {
						shards[i] = nil
						required[i] = i%2 == 0
					}
				}
				some := clone(shards)
				if err := c.Reconstruct(shards, nil); err != nil {
					t.Fatalf("without %b: %v", mask, err)
				}
				for i := range shards {
					if !bytes.Equal(shards[i], want[i]) {
						t.Fatalf("without %b: shard %d is wrong", mask, i)
					}
				}
				if err := c.Reconstruct(some, required); err != nil {
					t.Fatalf("some without %b: %v", mask, err)
				}
				for i := range some {
					if required[i] && !bytes.Equal(some[i], want[i]) {
						t.Fatalf("some without %b: shard %d is wrong", mask, i)
					}
				}
			})
		})
	}
}

func TestReconstructData(t *testing.T) {
	p := Profile{4, 2}
	c, _ := New(p)
	want := encoded(t, p, 5000)
	shards := clone(want)
	shards[1], shards[5] = nil, nil
	if err := c.ReconstructData(shards); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(shards[1], want[1]) || len(shards[5]) != 0 {
		t.Error("not the data, or more than the data")
	}
	// Missing parity alone is no work, even when too few would be left to rebuild from.
	shards = clone(want)
	shards[4], shards[5] = nil, nil
	if err := c.ReconstructData(shards); err != nil {
		t.Error(err)
	}
}

// Bytes of one column depend on no other column: any range can be rebuilt from the same range.
func TestRangesAreRebuiltAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range profiles {
		if p.M == 0 {
			continue
		}
		c, _ := New(p)
		want := encoded(t, p, 100_000)
		size := len(want[0])
		for range 30 {
			from := r.IntN(size)
			to := from + 1 + r.IntN(size-from)
			ranges := make([][]byte, p.Width())
			for i := range want {
				ranges[i] = bytes.Clone(want[i][from:to])
			}
			for range p.M {
				ranges[r.IntN(p.Width())] = nil
			}
			if err := c.Reconstruct(ranges, nil); err != nil {
				t.Fatal(err)
			}
			for i := range ranges {
				if !bytes.Equal(ranges[i], want[i][from:to]) {
					t.Fatalf("%v, columns %d to %d: shard %d is wrong", p, from, to, i)
				}
			}
		}
	}
}

func TestReconstructFillsTheGivenMemory(t *testing.T) {
	p := Profile{2, 1}
	c, _ := New(p)
	want := encoded(t, p, 1000)
	shards := clone(want)
	memory := make([]byte, len(want[0]))
	shards[0] = memory[:0]
	if err := c.Reconstruct(shards, nil); err != nil {
		t.Fatal(err)
	}
	if &shards[0][0] != &memory[0] || !bytes.Equal(memory, want[0]) {
		t.Error("the memory that was given was not filled")
	}
}

func TestTooFewShards(t *testing.T) {
	for _, p := range profiles {
		c, _ := New(p)
		shards := encoded(t, p, 1000)
		for i := range int(p.M) + 1 {
			shards[i] = nil
		}
		if err := c.Reconstruct(shards, nil); !errors.Is(err, ErrTooFewShards) {
			t.Errorf("%v: error %v", p, err)
		}
		if err := c.ReconstructData(shards); !errors.Is(err, ErrTooFewShards) {
			t.Errorf("%v: error %v for the data", p, err)
		}
		if err := c.Reconstruct(shards, make([]bool, p.Width())); err != nil {
			t.Errorf("%v: nothing is wanted, error %v", p, err)
		}
	}
}

func TestShape(t *testing.T) {
	p := Profile{2, 1}
	c, _ := New(p)
	good := encoded(t, p, 1000)
	for name, shards := range map[string][][]byte{
		"too few":        good[:2],
		"too many":       append(clone(good), good[0]),
		"uneven":         {good[0], good[1][1:], good[2]},
		"one is missing": {good[0], nil, good[2]},
	} {
		if err := c.Encode(shards); !errors.Is(err, ErrShape) {
			t.Errorf("encode, %s: error %v", name, err)
		}
		if name == "one is missing" {
			continue
		}
		if err := c.Reconstruct(shards, nil); !errors.Is(err, ErrShape) {
			t.Errorf("reconstruct, %s: error %v", name, err)
		}
	}
	if err := c.Reconstruct(clone(good), make([]bool, 2)); !errors.Is(err, ErrShape) {
		t.Errorf("wrong number of wishes: error %v", err)
	}
}

func TestCutPadsWithZeros(t *testing.T) {
	for _, p := range profiles {
		for _, n := range []int{1, 64, 65, 1000, 65552} {
			shards := encoded(t, p, n)
			data := bytes.Join(shards[:p.K], nil)
			if !bytes.Equal(data[:n], pattern(n)) || len(bytes.Trim(data[n:], "\x00")) != 0 {
				t.Errorf("%v, %d bytes: the data shards are not the chunk and zeros", p, n)
			}
			if size := p.ShardSize(n); size%Align != 0 || size*int(p.K) < n || size*int(p.K) >= n+Align*(int(p.K)+1) {
				t.Errorf("%v, %d bytes: shards of %d bytes", p, n, size)
			}
		}
	}
	if size := (Profile{4, 2}).ShardSize(0); size != Align {
		t.Errorf("shards of nothing have %d bytes", size)
	}
}

// TestGolden holds the parity to what earlier releases wrote.
func TestGolden(t *testing.T) {
	var list strings.Builder
	for _, p := range profiles {
		for i, shard := range encoded(t, p, 4195328) {
			sum := sha256.Sum256(shard)
			fmt.Fprintf(&list, "%v shard %d of %d bytes %s\n", p, i, len(shard), hex.EncodeToString(sum[:]))
		}
	}
	path := filepath.Join("testdata", "shards.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if list.String() != string(want) {
		t.Errorf("shards differ from those recorded:\n%s", list.String())
	}
}

func TestNewIsCached(t *testing.T) {
	a, _ := New(Profile{4, 2})
	b, _ := New(Profile{4, 2})
	if a != b || a.Profile() != (Profile{4, 2}) {
		t.Error("the coder of a profile is made twice")
	}
	if _, err := New(Profile{0, 1}); !errors.Is(err, ErrProfile) {
		t.Errorf("error %v", err)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, p := range profiles {
		b.Run(p.String(), func(b *testing.B) {
			c, _ := New(p)
			shards := encoded(b, p, 4195328)
			b.SetBytes(4195328)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Encode(shards); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReconstruct(b *testing.B) {
	for _, p := range profiles[1:] {
		b.Run(p.String(), func(b *testing.B) {
			c, _ := New(p)
			shards := encoded(b, p, 4195328)
			b.SetBytes(4195328)
			b.ReportAllocs()
			for b.Loop() {
				shards[0] = shards[0][:0]
				if err := c.ReconstructData(shards); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
