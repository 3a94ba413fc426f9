package gossip

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// watcher is a host with a detector, and what its detector said of one member and when.
type watcher struct {
	host     *transport.Host
	lossy    *lossy
	detector *Detector
	id       p2p.NodeID

	mu   sync.Mutex
	said map[p2p.NodeID][]Status
	at   map[p2p.NodeID][]time.Time
}

func (w *watcher) heard(ev Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said[ev.Peer] = append(w.said[ev.Peer], ev.Status)
	w.at[ev.Peer] = append(w.at[ev.Peer], time.Now())
}

// first returns when the detector first said s of id after a moment.
func (w *watcher) first(id p2p.NodeID, s Status, after time.Time) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, have := range w.said[id] {
		if have == s && w.at[id][i].After(after) {
			return w.at[id][i], true
		}
	}
	return time.Time{}, false
}

// detectorMethod is any method of the control plane.
const detectorMethod = 9

// startWatcher runs a host with a detector until the function returned is called. Of what detectors say 5 % is lost.
func startWatcher(t *testing.T, issuer *member.Issuer, id *transport.Identity, inc uint64, late *atomic.Int64) (w *watcher, stop func()) {
	cred, err := issuer.Issue(member.Credential{Peer: id.NodeID(), Roles: p2p.RoleNode, Serial: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w = &watcher{id: id.NodeID(), said: make(map[p2p.NodeID][]Status), at: make(map[p2p.NodeID][]time.Time)}
	w.host, err = transport.New(transport.Config{
		Identity: id, Trust: member.NewTrust(issuer.Cluster(), nil), Credential: cred, Listen: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.lossy = &lossy{Transport: w.host, loss: 0.05, late: late, rng: rand.New(rand.NewPCG(inc, binary.LittleEndian.Uint64([]byte(id.NodeID()[len(id.NodeID())-8:]))))}
	w.detector, err = NewDetector(DetectorConfig{Transport: w.lossy, Method: detectorMethod, Inc: inc, OnStatus: w.heard})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.host.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.detector.Run(ctx) })
	stop = sync.OnceFunc(func() {
		w.host.Close() // first, so that the detector cannot say goodbye
		cancel()
		wg.Wait()
	})
	t.Cleanup(stop)
	return w, stop
}

// TestFiftyHosts: fifty real hosts, all in full mesh, lose 5 % of what detectors say, and one after the other stalls for 2 s: some are
// suspected, and at no time anybody is held dead. Then one goes without a word. All others suspect it and then hold it dead; when it is back,
// at another port and with a higher incarnation, all hold it alive, and all that time nobody else was dead. How long it took is logged and not
// judged: fifty hosts on a busy machine say little about a cluster. Where such a machine holds notifications up for long by itself, verdicts
// say nothing either, and are only logged.
func TestFiftyHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("fifty hosts")
	}
	const n = 50
	key := member.NewClusterKey(member.NewClusterID(), nil)
	issuer := key.NewIssuer(nil, 1, time.Now())
	watchers := make([]*watcher, n)
	identities := make([]*transport.Identity, n)
	stops := make([]func(), n)
	var ids []p2p.NodeID
	late := new(atomic.Int64)
	for i := range n {
		id, err := transport.NewIdentity(nil)
		if err != nil {
			t.Fatal(err)
		}
		identities[i] = id
		watchers[i], stops[i] = startWatcher(t, issuer, id, 1, late)
		ids = append(ids, id.NodeID())
	}
	mesh(t, watchers)
	for _, w := range watchers {
		w.detector.SetMembers(ids)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, w := range watchers {
			w.mu.Lock()
			t.Logf("%s said of the victim %v", w.id.Short(), w.said[ids[17]])
			w.mu.Unlock()
		}
	})
	all := func(about p2p.NodeID, want Status) func() bool {
		return func() bool {
			for _, w := range watchers {
				if w.id != about && w.detector.Status(about) != want {
					return false
				}
			}
			return true
		}
	}
	for _, id := range ids {
		eventually(t, "all to be alive", all(id, Alive))
	}
	stallInTurn(t, watchers)
	for _, id := range ids {
		eventually(t, "all to be alive after stalls", all(id, Alive))
	}
	if said(watchers, Suspect, "") == 0 {
		t.Error("stalls of 2 s were not even suspected; this tests nothing")
	}
	judge(t, watchers, "", late)
	victim := 17
	start := time.Now()
	stops[victim]()
	eventually(t, "all to hold the victim dead", all(ids[victim], Dead))
	report(t, watchers, ids[victim], start)

	back, _ := startWatcher(t, issuer, identities[victim], 2, late)
	watchers[victim] = back
	back.detector.SetMembers(ids)
	for _, w := range watchers {
		if w != back {
			back.host.AddPeer(w.id, w.host.Addrs()...)
		}
	}
	eventually(t, "all to see it return", all(ids[victim], Alive))
	for _, id := range ids {
		eventually(t, "all to be alive", all(id, Alive))
	}
	judge(t, watchers, ids[victim], late)
}

// stallInTurn makes a host stall for 2 s every 400 ms, none twice within 4 s.
func stallInTurn(t *testing.T, watchers []*watcher) {
	t.Helper()
	const stalls = 20
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for i := range stalls {
		watchers[i*7%len(watchers)].lossy.stall(2 * time.Second)
		<-tick.C
	}
}

// said counts how often a status was said of anybody but one member.
func said(watchers []*watcher, s Status, but p2p.NodeID) (n int) {
	for _, w := range watchers {
		w.mu.Lock()
		for id, all := range w.said {
			for _, have := range all {
				if have == s && id != but {
					n++
				}
			}
		}
		w.mu.Unlock()
	}
	return n
}

// lateMax is how much later than they should notifications may come for a verdict to be the detector's fault.
const lateMax = 500 * time.Millisecond

// judge fails the test if somebody was ever held dead but the victim.
func judge(t *testing.T, watchers []*watcher, victim p2p.NodeID, late *atomic.Int64) {
	t.Helper()
	deaths, worst := said(watchers, Dead, victim), time.Duration(late.Load())
	t.Logf("%d false suspicions, %d false deaths; the machine held notifications up for %v", said(watchers, Suspect, victim), deaths, worst)
	if deaths > 0 && worst < lateMax {
		t.Errorf("%d times a member was held dead that lived", deaths)
	}
}

// mesh connects all to all.
func mesh(t *testing.T, watchers []*watcher) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	for i, a := range watchers {
		for _, b := range watchers[i+1:] {
			a.host.AddPeer(b.id, b.host.Addrs()...)
			b.host.AddPeer(a.id, a.host.Addrs()...)
		}
	}
	for i, a := range watchers {
		for _, b := range watchers[i+1:] {
			g.Go(func() error { return a.host.Connect(context.Background(), b.id) })
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// report logs when the verdicts came.
func report(t *testing.T, watchers []*watcher, victim p2p.NodeID, start time.Time) {
	t.Helper()
	for _, s := range []Status{Suspect, Dead} {
		var took []time.Duration
		for _, w := range watchers {
			if at, ok := w.first(victim, s, start); ok {
				took = append(took, at.Sub(start))
			}
		}
		slices.Sort(took)
		if len(took) != len(watchers)-1 {
			t.Errorf("%d of %d said %v", len(took), len(watchers)-1, s)
			continue
		}
		t.Logf("%v: first after %v, p50 %v, last %v", s, took[0], took[len(took)/2], took[len(took)-1])
	}
}
