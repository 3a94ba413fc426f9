package netns

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLinks(t *testing.T) {
	a, b, c := &Host{number: 1}, &Host{number: 2}, &Host{number: 3}
	late := Rule{From: []*Host{a}, To: []*Host{b, c}, Delay: 50 * time.Millisecond, Jitter: time.Millisecond}
	for name, tc := range map[string]struct {
		rules []Rule
		want  map[pair]link
	}{
		"none":      {nil, map[pair]link{}},
		"loss only": {[]Rule{{From: []*Host{a}, To: []*Host{b}, LossPercent: 5}}, map[pair]link{}},
		"one rule": {[]Rule{late}, map[pair]link{
			{1, 2}: {delay: 50 * time.Millisecond, jitter: time.Millisecond, kept: 1},
			{1, 3}: {delay: 50 * time.Millisecond, jitter: time.Millisecond, kept: 1}}},
		"two delays and a loss": {[]Rule{late, {From: []*Host{a}, To: []*Host{c}, LossPercent: 50},
			{From: []*Host{a, b}, To: []*Host{c}, LossPercent: 50, Delay: time.Second, Overtake: true}}, map[pair]link{
			{1, 2}: {delay: 50 * time.Millisecond, jitter: time.Millisecond, kept: 1},
			{1, 3}: {delay: 1050 * time.Millisecond, jitter: time.Millisecond, overtake: true, kept: 0.25},
			{2, 3}: {delay: time.Second, overtake: true, kept: 0.5}}},
		"cut off": {[]Rule{{From: []*Host{a}, To: []*Host{b}}, late, {From: []*Host{a}, To: []*Host{c}, LossPercent: 100}}, map[pair]link{}},
	} {
		if got := links(tc.rules); !maps.Equal(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// arrivals sends frames one millisecond apart and gives when each is handed on.
func arrivals(d *delays, p pair, frames int) (at map[string]time.Duration, order []string) {
	start := time.Unix(0, 0)
	at = make(map[string]time.Duration)
	for ms := 0; ms < frames || len(d.waiting) > 0; ms++ {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		due, _, _ := d.take(now)
		for _, p := range due {
			order = append(order, string(p.frame))
			at[string(p.frame)] = now.Sub(start)
		}
		if ms < frames {
			d.add(now, p, fmt.Appendf(nil, "%04d", ms))
		}
	}
	return at, order
}

func TestDelays(t *testing.T) {
	p := pair{1, 2}
	for name, tc := range map[string]struct {
		link          link
		least, most   int // of 1000 frames that arrive
		ordered, same bool
	}{
		"plain":    {link{delay: 50 * time.Millisecond, kept: 1}, 1000, 1000, true, true},
		"jitter":   {link{delay: 50 * time.Millisecond, jitter: 20 * time.Millisecond, kept: 1}, 1000, 1000, true, false},
		"overtake": {link{delay: 50 * time.Millisecond, jitter: 20 * time.Millisecond, overtake: true, kept: 1}, 1000, 1000, false, false},
		"loss":     {link{delay: 50 * time.Millisecond, kept: 0.9}, 850, 950, true, true},
		"all lost": {link{delay: 50 * time.Millisecond}, 0, 0, true, true},
	} {
		d := newDelays(rand.New(rand.NewPCG(1, 1)))
		d.links = map[pair]link{p: tc.link}
		at, order := arrivals(d, p, 1000)
		if len(order) < tc.least || len(order) > tc.most {
			t.Errorf("%s: %d of 1000 frames arrive, want %d to %d", name, len(order), tc.least, tc.most)
		}
		if got := slices.IsSorted(order); got != tc.ordered {
			t.Errorf("%s: in order: %v", name, got)
		}
		shortest, longest := time.Hour, time.Duration(0)
		for frame, arrived := range at {
			var sent int
			fmt.Sscanf(frame, "%d", &sent)
			took := arrived - time.Duration(sent)*time.Millisecond
			shortest, longest = min(shortest, took), max(longest, took)
		}
		// Time passes in steps of a millisecond.
		if len(at) > 0 && (shortest < tc.link.delay-tc.link.jitter || longest > tc.link.delay+tc.link.jitter+time.Millisecond || tc.same != (shortest == longest)) {
			t.Errorf("%s: frames take %v to %v", name, shortest, longest)
		}
		if got := d.crossed[p]; got != int64(4*len(order)) {
			t.Errorf("%s: %d bytes are counted for %d frames", name, got, len(order))
		}
		if d.bytes != 0 {
			t.Errorf("%s: %d bytes still wait", name, d.bytes)
		}
	}
}

func TestDelaysAreBounded(t *testing.T) {
	d := newDelays(rand.New(rand.NewPCG(1, 1)))
	d.links = map[pair]link{{1, 2}: {delay: time.Second, kept: 1}}
	for range 3 {
		d.add(time.Unix(0, 0), pair{1, 2}, make([]byte, backlogMax/2))
	}
	d.add(time.Unix(0, 0), pair{2, 1}, []byte("not shaped"))
	if len(d.waiting) != 2 || d.bytes != backlogMax {
		t.Errorf("%d packets with %d bytes wait", len(d.waiting), d.bytes)
	}
}
