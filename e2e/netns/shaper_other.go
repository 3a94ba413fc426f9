//go:build !linux

package netns

import (
	"errors"
	"math/rand/v2"
)

// shaper works on Linux only.
type shaper struct{}

func newShaper(string, *rand.Rand) *shaper { return &shaper{} }

func (*shaper) set(map[pair]link) error {
	return errors.New("packets are delayed on Linux only")
}

func (*shaper) crossed(pair) int64 { return 0 }

func (*shaper) close() (missed int, err error) { return 0, nil }
