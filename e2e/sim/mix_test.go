package sim

import "time"

// mix says how often things happen.
type mix struct {
	think int // most milliseconds between a client's operations
	pause int // most milliseconds between faults
	// weights of faults
	crash, cut, stall, outage, rot, full, wipe, drain, join int

	clients int  // at least three
	load    load // what they do; the zero value is everyday
	joins   int  // nodes that join at the beginning, at least

	alone bool          // no node hangs while another does, and each for so long that others take over
	news  time.Duration // how often nodes look for a new layout; 0 is 3 s
	drag  int           // most milliseconds that a shard stays where it was after it is at its new home
	chase int           // of how many moves of shards one is met by a copy of what moves; 0 is none
}

// load is what a client does: the weights of its operations, and how many in all.
type load struct{ get, put, remove, copy, ops int }

var everyday = load{get: 6, put: 8, remove: 2, copy: 4, ops: 25}

func (m *mix) work() load {
	if m.load == (load{}) {
		return everyday
	}
	return m.load
}

// moving has shards move slowly, and often, while clients copy them that hear late of it.
var moving = mix{
	think: 4000, pause: 6000, crash: 1, cut: 1, stall: 1, drain: 8, join: 4, load: load{get: 1, put: 5, remove: 2, copy: 6, ops: 20},
	drag: 2000, news: 20 * time.Second, chase: 2,
}

// hanging has leaders hang and come back when others have taken over, with many clients that write meanwhile.
var hanging = mix{
	think: 1500, pause: 12000, crash: 1, cut: 2, stall: 16, load: load{get: 6, put: 12, remove: 2, ops: 20},
	clients: 8, joins: 2, alone: true,
}

var mixes = []mix{
	{think: 6000, pause: 8000, crash: 4, cut: 4, stall: 2, outage: 1, rot: 2, full: 1, wipe: 1, drain: 1, join: 1},
	{think: 4000, pause: 4000, crash: 8, cut: 1, stall: 1, outage: 1, rot: 1, full: 0, wipe: 1, drain: 0, join: 0},
	{think: 3000, pause: 5000, crash: 1, cut: 8, stall: 3, outage: 0, rot: 0, full: 1, wipe: 0, drain: 1, join: 1},
	{think: 6000, pause: 9000, crash: 2, cut: 1, stall: 1, outage: 4, rot: 2, full: 1, wipe: 2, drain: 3, join: 3},
	{think: 3000, pause: 60000, crash: 1, cut: 1, stall: 0, outage: 0, rot: 1, full: 1, wipe: 0, drain: 1, join: 1},
	moving,
	hanging,
}

// mixOf picks what happens in a seed.
func mixOf(seed uint64) mix { return mixes[seed%uint64(len(mixes))] }
