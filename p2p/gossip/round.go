package gossip

import (
	"slices"
	"time"

	"shoal/p2p"
)

// round probes those that follow, those under suspicion, and some of the others: more of them while
// something happens.
func (c *Core) round(now time.Time, out *Output) {
	for _, id := range sortedKeys(c.suspect) {
		c.probe(now, id, out)
	}
	c.probeNext(now, out)
	if c.rounds++; c.rounds%c.cfg.Across == 0 {
		c.probe(now, c.draw(c.across, &c.cross), out)
	}
	if len(c.suspect)+len(c.rumours) == 0 {
		c.probeUnmeasured(now, out)
		return
	}
	for range min(c.cfg.Targets-c.cfg.Next, len(c.order)) {
		c.probe(now, c.draw(c.order, &c.next), out)
	}
}

// probeNext probes the first that live, as far as is known, of those that follow this node.
func (c *Core) probeNext(now time.Time, out *Output) {
	n := 0
	for _, id := range c.ring {
		if n == c.cfg.Next {
			return
		}
		if c.members[id].status == Alive { // the suspected are probed anyway
			c.probe(now, id, out)
			n++
		}
	}
}

// probeUnmeasured probes some of those whose distance is not known and who should answer.
func (c *Core) probeUnmeasured(now time.Time, out *Output) {
	n := 0
	for _, id := range c.order {
		if n == c.cfg.Targets {
			return
		}
		if v := c.members[id]; v.status == Alive && v.rtt == 0 {
			c.probe(now, id, out)
			n++
		}
	}
}

// arrange says who follows whom, by the sorted order.
func (c *Core) arrange() {
	at, _ := slices.BinarySearch(c.order, c.self)
	c.ring, c.across = nil, nil
	for _, id := range slices.Concat(c.order[at:], c.order[:at]) {
		if c.members[id].far {
			c.across = append(c.across, id)
		} else {
			c.ring = append(c.ring, id)
		}
	}
	if len(c.ring) == 0 {
		c.ring = c.across
	}
	if len(c.across) == 0 {
		c.across = c.ring
	}
	c.across = slices.Clone(c.across)
}

// roundAfter is when the next round begins: on every member whose clock is right at the same time.
func (c *Core) roundAfter(now time.Time) time.Time {
	return now.Add(p2p.UntilRound(now, c.cfg.Period))
}

// draw takes the next of ids, which are shuffled when all have been.
func (c *Core) draw(ids []p2p.NodeID, next *int) p2p.NodeID {
	if *next >= len(ids) {
		*next = 0
		c.shuffle(ids)
	}
	*next++
	return ids[*next-1]
}

func (c *Core) shuffle(ids []p2p.NodeID) {
	c.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
}
