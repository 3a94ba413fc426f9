package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// smallClients are the numbers of clients for operations that move few bytes.
var smallClients = []int{1, 16}

// store measures the program with a fresh data directory.
func (b *bench) store(ctx context.Context) (err error) {
	o := b.options
	if !o.wants("objects") && !o.wants("small") && !o.wants("restart") && !o.wants("idle") && !o.wants("gateway") {
		return nil
	}
	s, err := newServer(o.program, filepath.Join(b.dir, "data"), o.args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	took, err := s.start(ctx)
	if err != nil {
		return err
	}
	b.add(row{Name: "server ready for the first time", Ops: 1, Value: milliseconds(took), Unit: "ms"})
	all, err := b.loads(ctx, s)
	if err != nil {
		return err
	}
	return b.lifetime(ctx, s, all)
}

// loads makes the bucket and puts all loads on it. It gives what is then there.
func (b *bench) loads(ctx context.Context, s *server) ([]*objects, error) {
	if err := s.makeBucket(ctx, bucket, ""); err != nil {
		return nil, err
	}
	all := b.sizes()
	if b.options.wants("objects") {
		for _, set := range all {
			if err := b.measureObjects(ctx, s, set); err != nil {
				return nil, err
			}
		}
	}
	if b.options.wants("small") {
		if err := b.measureSmall(ctx, s, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// makeBucket makes a bucket, which is bound to a site where one is given.
func (s *server) makeBucket(ctx context.Context, name, site string) error {
	r := &request{method: "PUT", path: "/" + name}
	if site != "" {
		r.body = fmt.Appendf(nil, "<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>", site)
		r.payload = unsigned
	}
	c := s.client()
	defer c.close()
	if _, err := c.do(ctx, r, nil); err != nil {
		return fmt.Errorf("make a bucket: %w", err)
	}
	return nil
}

// sizes are the objects of each size.
func (b *bench) sizes() []*objects {
	var all []*objects
	for _, n := range b.options.bytes {
		all = append(all, &objects{content: b.content, unsigned: b.options.unsigned, size: n})
	}
	return all
}

// measureObjects writes objects of one size and reads them, with each number of clients.
func (b *bench) measureObjects(ctx context.Context, s *server, set *objects) error {
	set.warm()
	clients := b.options.clients
	if set.size == partBytes {
		clients = append([]int{limitClients}, clients...)
	}
	for _, n := range clients {
		if err := b.measureSize(ctx, s, set, "PUT ", set.put, n); err != nil {
			return err
		}
	}
	if set.size == partBytes {
		l := set.spread(load{name: "GET " + sizeName(set.size) + " not read before", duration: b.options.duration, op: set.getCold}, limitClients)
		r, err := b.run(ctx, s, l)
		b.add(r)
		if err != nil {
			return err
		}
	}
	if _, err := b.run(ctx, s, set.spread(load{duration: b.options.duration, op: set.getNext}, teamConnections)); err != nil {
		return err
	}
	for _, n := range clients {
		if err := b.measureSize(ctx, s, set, "GET ", set.get, n); err != nil {
			return err
		}
	}
	return nil
}

// measureSize is one row of objects of one size.
func (b *bench) measureSize(ctx context.Context, s *server, set *objects, verb string,
	op func(context.Context, []*client, int64) (int64, error), clients int) error {
	r, err := b.run(ctx, s, set.spread(load{name: verb + sizeName(set.size), duration: b.options.duration, op: op}, clients))
	set.settle()
	if clients == limitClients && set.size == partBytes && b.options.wants("floors") {
		if len(s.others) > 0 {
			b.floors.tellCluster(&r, verb == "PUT ")
		} else {
			b.floors.judgeLarge(&r, verb == "PUT ")
		}
	}
	b.add(r)
	return err
}

// spread shares clients out: one to a worker, or, for objects in parts, up to as many as
// there are parts.
func (o *objects) spread(l load, clients int) load {
	l.workers, l.connections, l.bytesPerOp = clients, 1, o.size
	if o.size > partBytes {
		l.connections = min(clients, teamConnections, o.parts())
		l.workers = max(clients/l.connections, 1)
	}
	return l
}

// settle says that everything issued was written, after a load that did not fail.
func (o *objects) settle() { o.written.Store(o.issued.Load()) }

// measureSmall measures operations on metadata and short ranges.
func (b *bench) measureSmall(ctx context.Context, s *server, all []*objects) error {
	small, large := all[0], all[0]
	for _, set := range all {
		if set.size < small.size {
			small = set
		}
		if set.size <= partBytes && set.size > large.size || large.size > partBytes {
			large = set
		}
	}
	if err := b.provide(ctx, s, small, 2*pageKeys); err != nil {
		return err
	}
	loads := []load{
		{name: "HEAD", op: small.head},
		{name: fmt.Sprintf("LIST of %d", pageKeys), op: small.list},
	}
	if large.size > rangeBytes && large.size <= partBytes {
		if err := b.provide(ctx, s, large, bodiesMax); err != nil {
			return err
		}
		loads = append(loads, load{name: fmt.Sprintf("GET %s of %s", sizeName(rangeBytes), sizeName(large.size)), op: large.getRange})
	}
	for _, l := range loads {
		if err := b.measureSmallLoad(ctx, s, l); err != nil {
			return err
		}
	}
	// Enough for the row not to end before its time.
	spare := int64(deletesPerSecond * b.options.duration.Seconds() * float64(len(smallClients)))
	if err := b.provide(ctx, s, small, small.deleted.Load()+spare); err != nil {
		return err
	}
	return b.measureSmallLoad(ctx, s, load{name: "DELETE " + sizeName(small.size), op: small.delete})
}

// deletesPerSecond is at least what a store on this machine does.
const deletesPerSecond = 3000

func (b *bench) measureSmallLoad(ctx context.Context, s *server, l load) error {
	for _, n := range smallClients {
		l.workers, l.duration = n, b.options.duration
		r, err := b.run(ctx, s, l)
		b.add(r)
		if err != nil {
			return err
		}
	}
	return nil
}

// provideClients is how many clients write what is not measured.
const provideClients = 64

// provide writes objects until there are at least so many to read.
func (b *bench) provide(ctx context.Context, s *server, set *objects, count int64) error {
	held := set.written.Load()
	if held >= count {
		return nil
	}
	set.warm()
	_, err := b.run(ctx, s, set.spread(load{name: "PUT " + sizeName(set.size), duration: readyWithin, opsMax: count - held, op: set.put}, provideClients))
	set.settle()
	return err
}

// lifetime measures starting, idling and joining, with what the store then holds, and
// sums up its memory.
func (b *bench) lifetime(ctx context.Context, s *server, all []*objects) error {
	small := all[0]
	if err := b.provide(ctx, s, small, small.deleted.Load()+bodiesMax); err != nil {
		return err
	}
	if b.options.wants("idle") {
		if err := b.measureIdle(ctx, s); err != nil {
			return err
		}
	}
	if b.options.wants("gateway") {
		if err := b.measureGateway(ctx, s, small); err != nil {
			return err
		}
	}
	var held int64
	for _, set := range all {
		held += set.written.Load() - min(set.deleted.Load(), set.written.Load())
	}
	if b.options.objects > held {
		if err := b.fill(ctx, s, small, b.options.objects, held); err != nil {
			return err
		}
		held = b.options.objects
	}
	if b.options.wants("restart") {
		if err := b.measureRestarts(ctx, s, held); err != nil {
			return err
		}
	}
	peak := float64(b.peak) / mib
	b.add(row{Name: "memory of the server, whole suite", PeakMiB: peak, Targets: []target{atMost("MiB", peak, peakLimit)}})
	if b.gatewayPeak > 0 {
		b.add(row{Name: "memory of a gateway that was just started", PeakMiB: float64(b.gatewayPeak) / mib})
	}
	return nil
}
