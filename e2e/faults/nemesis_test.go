package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

// nemesis does harm to a cluster by a seed, a fault or two at a time, and mends it. Its
// methods are for the goroutine of the test.
type nemesis struct {
	t       *testing.T
	c       *cluster.Cluster
	r       *rand.Rand
	rules   map[int]netns.Rule // of the network, by number
	next    int
	volumes map[*cluster.Process]*cluster.Volume
	count   map[string]int
	guest   *guest                    // who is there now
	guests  int                       // nodes that joined for a while
	down    map[*cluster.Process]bool // killed, paused or otherwise not to be harmed more
	wrong   map[*cluster.Process]bool // whose clock is off
}

func newNemesis(t *testing.T, c *cluster.Cluster, seed uint64) *nemesis {
	if c.Network() != nil {
		c.Network().Seed(seed)
	}
	return &nemesis{t: t, c: c, r: rand.New(rand.NewPCG(seed, 1)), rules: make(map[int]netns.Rule),
		volumes: make(map[*cluster.Process]*cluster.Volume), count: make(map[string]int), down: make(map[*cluster.Process]bool),
		wrong: make(map[*cluster.Process]bool)}
}

// fault does harm and gives what mends it, or nil where it cannot be done now.
type fault struct {
	name   string
	inject func() (what string, mend func())
}

// faults are all that can happen to this cluster.
func (n *nemesis) faults() []fault {
	all := []fault{{"kill", n.kill}, {"kill", n.kill}, {"pause", n.pause}, {"pause", n.pause}}
	if n.c.Network() != nil {
		all = append(all, fault{"partition", n.partition}, fault{"partition", n.partition}, fault{"one way", n.oneWay}, fault{"loss", n.loss}, fault{"delay", n.delay})
		if len(n.sites()) > 1 {
			all = append(all, fault{"site", n.site}, fault{"site", n.site})
		}
	}
	if cluster.CanShiftClocks() == nil {
		all = append(all, fault{"clock", n.clock}, fault{"clock", n.clock})
	}
	if len(n.volumes) > 0 {
		all = append(all, fault{"full drive", n.fillDrive}, fault{"broken drive", n.breakDrive})
	}
	if len(n.c.Nodes()) > 3 {
		all = append(all, fault{"join and drain", n.reshape}, fault{"join and drain", n.reshape})
	}
	only := os.Getenv("E2E_FAULTS")
	if only == "" {
		return all
	}
	all = slices.DeleteFunc(all, func(f fault) bool { return !slices.Contains(strings.Split(only, ","), f.name) })
	if len(all) == 0 {
		n.t.Fatalf("E2E_FAULTS=%q names no fault of this cluster", only)
	}
	return all
}

// run harms and mends for a time. In the end everything is mended and every process is
// ready.
func (n *nemesis) run(d time.Duration) {
	n.t.Helper()
	began := time.Now()
	for time.Since(began) < d && !n.t.Failed() {
		var mends []func()
		for range 1 + n.r.IntN(2) {
			all := n.faults()
			f := all[n.r.IntN(len(all))]
			what, mend := f.inject()
			if mend == nil {
				continue
			}
			n.count[f.name]++
			n.t.Logf("%6.1f s: %s", time.Since(began).Seconds(), what)
			mends = append(mends, mend)
			n.hold(200, 2000)
		}
		n.hold(500, 6000)
		for _, mend := range slices.Backward(mends) {
			mend()
		}
		n.t.Logf("%6.1f s: mended", time.Since(began).Seconds())
		n.alive()
		n.hold(500, 4000)
	}
	n.farewell()
	for _, p := range n.c.All() {
		p.WaitReady()
	}
	n.t.Logf("faults: %v", n.count)
}

// hold waits a drawn time, in milliseconds.
func (n *nemesis) hold(least, most int) {
	pause(n.t, time.Duration(least+n.r.IntN(most-least))*time.Millisecond)
}

// alive fails the test for a process that has ended by itself.
func (n *nemesis) alive() {
	n.t.Helper()
	for _, p := range n.c.All() {
		if !p.Running() && !n.down[p] {
			n.t.Fatalf("%s has ended by itself:\n%s", n.name(p), p.Stderr())
		}
	}
}

// name tells processes apart in the log.
func (n *nemesis) name(p *cluster.Process) string {
	for i, q := range n.c.Nodes() {
		if p == q {
			return fmt.Sprintf("node %d (%s)", i, n.c.Site(p))
		}
	}
	for i, q := range n.c.Gateways() {
		if p == q {
			return fmt.Sprintf("gateway %d (%s)", i, n.c.Site(p))
		}
	}
	return "a stranger"
}

func (n *nemesis) names(ps []*cluster.Process) string {
	list := make([]string, len(ps))
	for i, p := range ps {
		list[i] = n.name(p)
	}
	return strings.Join(list, ", ")
}

// victim draws a process that nothing has happened to.
func (n *nemesis) victim(from []*cluster.Process) *cluster.Process {
	for _, i := range n.r.Perm(len(from)) {
		if !n.down[from[i]] {
			return from[i]
		}
	}
	return nil
}

func (n *nemesis) kill() (string, func()) {
	p := n.victim(n.c.All())
	if p == nil {
		return "", nil
	}
	n.down[p] = true
	p.Kill()
	return "kill -9 of " + n.name(p), func() {
		p.Start()
		delete(n.down, p)
	}
}

func (n *nemesis) pause() (string, func()) {
	p := n.victim(n.c.All())
	if p == nil {
		return "", nil
	}
	n.down[p] = true
	must(n.t, p.Pause())
	return "pause of " + n.name(p), func() {
		must(n.t, p.Resume())
		delete(n.down, p)
	}
}

// cut adds rules to what the network drops, and gives what takes them away.
func (n *nemesis) cut(rules ...netns.Rule) func() {
	n.t.Helper()
	var mine []int
	for _, r := range rules {
		n.next++
		n.rules[n.next] = r
		mine = append(mine, n.next)
	}
	n.apply()
	return func() {
		for _, i := range mine {
			delete(n.rules, i)
		}
		n.apply()
	}
}

func (n *nemesis) apply() {
	n.t.Helper()
	var all []netns.Rule
	for _, r := range n.rules {
		all = append(all, r)
	}
	must(n.t, n.c.Network().Apply(all...))
}

func hosts(ps []*cluster.Process) []*netns.Host {
	list := make([]*netns.Host, len(ps))
	for i, p := range ps {
		list[i] = p.Host()
	}
	return list
}

// split draws two sets that are neither empty, and are all processes together.
func (n *nemesis) split() (a, b []*cluster.Process) {
	all := n.c.All()
	size := 1 + n.r.IntN(max(1, len(all)-1))
	for i, j := range n.r.Perm(len(all)) {
		if i < size {
			a = append(a, all[j])
		} else {
			b = append(b, all[j])
		}
	}
	return a, b
}

func (n *nemesis) partition() (string, func()) {
	a, b := n.split()
	return "partition between " + n.names(a) + " and the rest", n.cut(both(a, b)...)
}

func both(a, b []*cluster.Process) []netns.Rule {
	return []netns.Rule{{From: hosts(a), To: hosts(b)}, {From: hosts(b), To: hosts(a)}}
}

func (n *nemesis) oneWay() (string, func()) {
	a, b := n.split()
	if n.r.IntN(2) == 0 {
		a, b = b, a
		return "nothing reaches " + n.names(b), n.cut(netns.Rule{From: hosts(a), To: hosts(b)})
	}
	return "nothing leaves " + n.names(a), n.cut(netns.Rule{From: hosts(a), To: hosts(b)})
}

func (n *nemesis) loss() (string, func()) {
	percent := 1 + n.r.IntN(20)
	all := hosts(n.c.All())
	return fmt.Sprintf("loss of %d %% of packets", percent), n.cut(netns.Rule{From: all, To: all, LossPercent: percent})
}

// What packets of a long way suffer.
const (
	delayMean        = 100 * time.Millisecond
	delayJitter      = 20 * time.Millisecond
	delayLossPercent = 1
)

// delay lets packets take long, and some get lost: all packets, or those between a site and the
// others. Half the time they overtake each other.
func (n *nemesis) delay() (string, func()) {
	in, out := n.c.All(), n.c.All()
	where := "all processes"
	if names := n.sites(); len(names) > 1 && n.r.IntN(2) == 0 {
		name := names[n.r.IntN(len(names))]
		in, out = n.divide(name)
		where = "site " + name + " and the rest"
	}
	rules := both(in, out)
	if len(in) == len(n.c.All()) {
		rules = rules[:1]
	}
	overtake := n.r.IntN(2) == 0
	for i := range rules {
		rules[i].Delay, rules[i].Jitter, rules[i].LossPercent, rules[i].Overtake = delayMean, delayJitter, delayLossPercent, overtake
	}
	return fmt.Sprintf("packets between %s take %v ± %v, %d %% are lost, overtaking is %v", where, delayMean, delayJitter, delayLossPercent, overtake), n.cut(rules...)
}

// clockOff is by how much a clock is wrong. Signatures may be a quarter of an hour old.
const clockOff = 10 * time.Minute

// clock sets the clock of a process forward or back while it runs. It is set right again while
// it runs, and may be started anew meanwhile.
func (n *nemesis) clock() (string, func()) {
	all := n.c.All()
	p := all[n.r.IntN(len(all))]
	if n.wrong[p] {
		return "", nil
	}
	by := clockOff
	if n.r.IntN(2) == 0 {
		by = -by
	}
	n.wrong[p] = true
	must(n.t, p.SetClock(by))
	return fmt.Sprintf("the clock of %s is off by %v", n.name(p), by), func() {
		must(n.t, p.SetClock(0))
		delete(n.wrong, p)
	}
}

// sites are the names of sites, in the order of the processes.
func (n *nemesis) sites() []string {
	var names []string
	seen := make(map[string]bool)
	for _, p := range n.c.All() {
		if site := n.c.Site(p); !seen[site] {
			seen[site] = true
			names = append(names, site)
		}
	}
	return names
}

func (n *nemesis) site() (string, func()) {
	names := n.sites()
	name := names[n.r.IntN(len(names))]
	return "site " + name + " is cut off", n.cut(both(n.divide(name))...)
}

// divide gives the processes of a site, and the others.
func (n *nemesis) divide(site string) (in, out []*cluster.Process) {
	for _, p := range n.c.All() {
		if n.c.Site(p) == site {
			in = append(in, p)
		} else {
			out = append(out, p)
		}
	}
	return in, out
}

// volume draws a volume whose node nothing has happened to.
func (n *nemesis) volume() (*cluster.Process, *cluster.Volume) {
	var nodes []*cluster.Process
	for _, p := range n.c.Nodes() {
		if n.volumes[p] != nil {
			nodes = append(nodes, p)
		}
	}
	p := n.victim(nodes)
	return p, n.volumes[p]
}

func (n *nemesis) fillDrive() (string, func()) {
	p, v := n.volume()
	if p == nil {
		return "", nil
	}
	n.down[p] = true
	must(n.t, v.Fill())
	return "a drive of " + n.name(p) + " is full", func() {
		must(n.t, v.Clear())
		delete(n.down, p)
	}
}

// breakDrive lets a drive fail under its node. As with a real one, the node is restarted
// when it has been replaced; what was synced is there again.
func (n *nemesis) breakDrive() (string, func()) {
	p, v := n.volume()
	if p == nil {
		return "", nil
	}
	n.down[p] = true
	must(n.t, v.Break())
	return "a drive of " + n.name(p) + " is broken", func() {
		p.Kill()
		must(n.t, v.Replace())
		p.Start()
		delete(n.down, p)
	}
}

// guestsMax bounds how many nodes join for a while in one run.
const guestsMax = 10

// guest is a node that joins for a while.
type guest struct {
	p        *cluster.Process
	name     string
	id       string // peer ID, once it is a member
	draining bool
}

// reshape is the next act with a guest: it joins, is drained, and is revoked once it holds nothing. Each act is only ordered, and goes on
// beside whatever else happens. An operator who gets no answer orders it again.
func (n *nemesis) reshape() (string, func()) {
	switch {
	case n.guest == nil || n.guest.id == "":
		return n.join()
	case n.down[n.guest.p]:
		return "", nil
	case !n.guest.draining:
		return n.drain()
	}
	return n.revoke()
}

// operator is a node that nothing has happened to.
func (n *nemesis) operator() *cluster.Process {
	return n.victim(slices.DeleteFunc(slices.Clone(n.c.Nodes()), func(p *cluster.Process) bool { return n.guest != nil && p == n.guest.p }))
}

// ordered logs why an order of the operator was not carried out. Then there is nothing to be mended.
func (n *nemesis) ordered(what string, err error) (string, func()) {
	if err != nil {
		n.t.Logf("%s: %v", what, err)
		return "", nil
	}
	return what, func() {}
}

// join lets a node join. Until it has, nothing else happens to it.
func (n *nemesis) join() (string, func()) {
	op := n.operator()
	if op == nil || n.guest == nil && n.guests == guestsMax {
		return "", nil
	}
	if n.guest == nil {
		n.guests++
		sites := n.sites()
		n.guest = &guest{p: n.c.PrepareNode(sites[n.r.IntN(len(sites))])}
		n.guest.name = n.name(n.guest.p)
		n.down[n.guest.p] = true
	}
	g := n.guest
	if !g.p.Running() {
		return n.ordered(g.name+" joins", n.c.JoinBy(g.p, op))
	}
	m, err := op.Member(g.p)
	if err == nil {
		g.id = m.PeerID
		delete(n.down, g.p)
		n.t.Logf("%s has joined", g.name)
	}
	return "", nil
}

func (n *nemesis) drain() (string, func()) {
	op := n.operator()
	if op == nil {
		return "", nil
	}
	out, err := op.Admin("members", "drain", n.guest.id)
	if err != nil {
		// It may have been heard.
		if m, asked := op.Member(n.guest.p); asked == nil && (m.State == api.MemberDraining || m.State == api.MemberDrained) {
			err = nil
		} else {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	n.guest.draining = err == nil
	return n.ordered(n.guest.name+" is drained", err)
}

// revoke takes the guest out once it is drained.
func (n *nemesis) revoke() (string, func()) {
	op := n.operator()
	if op == nil {
		return "", nil
	}
	g := n.guest
	m, err := op.Member(g.p)
	if err == nil && m.State != api.MemberDrained {
		return "", nil
	}
	if err == nil {
		var out string
		if out, err = op.Admin("members", "revoke", "--yes", g.id); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		return n.ordered(g.name+" is revoked", err)
	}
	n.c.Remove(g.p)
	n.guest = nil
	return n.ordered(g.name+" is revoked", nil)
}

// farewell sees a guest off that is still there, when everything else is mended.
func (n *nemesis) farewell() {
	n.t.Helper()
	for _, act := range []struct {
		do   func() (string, func())
		done func() bool
	}{
		{n.join, func() bool { return n.guest.id != "" }},
		{n.drain, func() bool { return n.guest.draining }},
		{n.revoke, func() bool { return n.guest == nil }},
	} {
		eventually(n.t, redundantWithin, func() error {
			if n.guest == nil || act.done() {
				return nil
			}
			if act.do(); n.guest != nil && !act.done() {
				return fmt.Errorf("%s stays: member %q, drained %v", n.guest.name, n.guest.id, n.guest.draining)
			}
			return nil
		})
	}
}
