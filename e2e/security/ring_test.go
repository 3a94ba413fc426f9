package security

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/network"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/gossip"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// ring is a cluster under attack by those who reach its peers' ports: strangers, and members that have been taken over.
type ring struct {
	*victim // S3 of its gateway
	c       *cluster.Cluster

	until string // when the retentions of vaults end

	gateway *impostor // has the identity of a gateway
	node    *impostor // has that of a node, which is down meanwhile
}

// ringAttacks are the attacks on peers, and on what is locked.
func ringAttacks() (all []ringAttack) {
	for _, list := range [][]ringAttack{gatewayAttacks(), strangerAttacks(), joinAttacks(), shardAttacks(), raftAttacks(), memberAttacks()} {
		all = append(all, list...)
	}
	return all
}

// ringAttack is one of them.
type ringAttack struct {
	name string
	run  func(*testing.T, *ring)
}

// TestRingAttacks runs all attacks on one cluster of real processes. At its end the cluster serves as before, and every
// process that was not taken over runs.
func TestRingAttacks(t *testing.T) {
	r := newRing(t)
	t.Run("attacks", func(t *testing.T) {
		for _, a := range ringAttacks() {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				a.run(t, r)
			})
		}
	})
	for _, p := range r.c.All() {
		if !p.Running() && p != r.stolen() {
			t.Errorf("a %s has ended: %s", p.Part(), p.Stderr())
		}
	}
	r.is(t, &request{method: http.MethodPut, path: "/still-there", as: r.root}, http.StatusOK, "")
	t.Run(searchedRing, r.secretsKept)
}

// stolen is the node whose identity an impostor has.
func (r *ring) stolen() *cluster.Process { return r.c.Nodes()[3] }

// newRing starts four nodes and two gateways. The last node and the last gateway are then taken over: their processes
// are gone, and what lies on their disks is in the attackers' hands.
func newRing(t *testing.T) *ring {
	t.Helper()
	c := cluster.Launch(t, cluster.Shape{Nodes: 4, Gateways: 2})
	g := c.Gateways()[0]
	r := &ring{c: c, until: lockedUntil, victim: &victim{p: g, addr: strings.TrimPrefix(g.Endpoint(), "http://")}}
	r.root.id, r.root.secret = c.Nodes()[0].Credentials()
	eventually(t, c.Whole)
	eventually(t, r.awayFromStolen)
	other := c.Gateways()[1]
	c.Remove(other)
	r.stolen().Kill()
	r.gateway = r.takeOver(t, other.Dir())
	r.node = r.takeOver(t, r.stolen().Dir())
	return r
}

// awayMin is of how many groups of buckets the node that is taken over has no replica. Buckets go round the groups, so foreignVault
// finds one of them.
const awayMin = 2

// awayFromStolen waits for the controller to spread the groups: four nodes have 51 replicas.
func (r *ring) awayFromStolen() error {
	id, err := r.c.PeerID(r.stolen())
	if err != nil {
		return err
	}
	var groups []api.Group
	if err := r.c.Operator().Query(&groups, "groups"); err != nil {
		return err
	}
	away := 0
	for i := range groups {
		g := &groups[i]
		if consensus.GroupID(g.ID) != consensus.SystemGroup && g.Leader != "" && !slices.Contains(slices.Concat(g.Voters, g.Learners), id) {
			away++
		}
	}
	if away < awayMin {
		return fmt.Errorf("the last node has a replica of all groups of buckets but %d of %d", away, len(groups)-1)
	}
	return nil
}

// impostor is a member whose software is the attacker's.
type impostor struct {
	*network.Network
	id    *transport.Identity
	mem   *network.Membership
	nodes map[p2p.NodeID]*peer.Remote
}

// takeOver starts a member with the identity that lies in a directory.
func (r *ring) takeOver(t *testing.T, dir string) *impostor {
	t.Helper()
	id, err := transport.LoadOrCreateIdentity(filepath.Join(dir, "identity.key"))
	must(t, err)
	mem, err := network.LoadMembership(filepath.Join(dir, network.MembershipFile))
	must(t, err)
	return r.enter(t, id, mem)
}

// enter starts a member with an identity and what it has of a membership.
func (r *ring) enter(t *testing.T, id *transport.Identity, mem *network.Membership) *impostor {
	t.Helper()
	cred, err := mem.Cluster.VerifyCredential(mem.Credential, time.Now())
	must(t, err)
	i := &impostor{id: id, mem: mem, nodes: map[p2p.NodeID]*peer.Remote{}}
	trust := member.NewTrust(mem.Cluster, time.Now)
	table, err := member.OpenTable(filepath.Join(t.TempDir(), "members"), trust, slog.New(slog.DiscardHandler))
	must(t, err)
	i.Network, err = network.Open(network.Config{
		Identity: id, Trust: trust, Table: table, Credential: mem.Credential, Self: gossip.Record{Site: cred.Site, Roles: cred.Roles},
		Starts: filepath.Join(t.TempDir(), "starts"), Listen: "127.0.0.1:0", Known: mem.Nodes, Log: slog.New(slog.DiscardHandler),
		Fetch: func(ctx context.Context) (*meta.MembersAnswer, error) { return i.table(ctx) },
	})
	must(t, err)
	must(t, i.Host.Listen())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- i.Run(ctx, nil) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	for _, p := range r.c.Nodes() {
		if !p.Running() {
			continue
		}
		node, err := r.c.PeerID(p)
		must(t, err)
		i.Host.AddPeer(p2p.NodeID(node), "/ip4/127.0.0.1/tcp/"+port(p.P2PAddr()))
		i.nodes[p2p.NodeID(node)] = peer.NewRemote(i.Host, p2p.NodeID(node))
	}
	eventually(t, func() error { return i.reachesAll(t.Context()) })
	return i
}

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

func (i *impostor) reachesAll(ctx context.Context) error {
	for id := range i.nodes {
		if err := i.Host.Connect(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// table asks any node for the member table.
func (i *impostor) table(ctx context.Context) (*meta.MembersAnswer, error) {
	err := errors.New("there is no node")
	for _, n := range i.nodes {
		var a *meta.MembersAnswer
		if a, err = n.Members(ctx); err == nil {
			return a, nil
		}
	}
	return nil, err
}

// leader asks the nodes one after the other until the leader of a group answers. Groups that the node led that was taken
// over may have none for a moment.
func (i *impostor) leader(t *testing.T, ask func(*peer.Remote) error) (err error) {
	t.Helper()
	eventually(t, func() error {
		for _, n := range i.nodes {
			err = ask(n)
			if other := (*peer.NotLeaderError)(nil); !errors.As(err, &other) && api.KindOf(err) != api.Unavailable {
				return nil
			}
		}
		return err
	})
	return err
}

// propose sends a command to the leader of its group.
func (i *impostor) propose(t *testing.T, g consensus.GroupID, cmd *meta.Command) (res *meta.Result, err error) {
	t.Helper()
	err = i.leader(t, func(n *peer.Remote) (err error) {
		res, err = n.Propose(t.Context(), g, cmd)
		return err
	})
	if err == nil {
		err = res.Err("propose")
	}
	return res, err
}

// query asks the leader of a group.
func (i *impostor) query(t *testing.T, g consensus.GroupID, q *meta.Query) (a *meta.Answer) {
	t.Helper()
	must(t, i.leader(t, func(n *peer.Remote) (err error) {
		a, err = n.Query(t.Context(), g, q)
		return err
	}))
	return a
}

// layout gives the layout as any node has it.
func (i *impostor) layout(t *testing.T) *peer.Layout {
	t.Helper()
	for _, n := range i.nodes {
		if l, err := n.Layout(t.Context(), nil); err == nil {
			return l
		}
	}
	t.Fatal("no node gives the layout")
	return nil
}

// vault is a bucket with versions that nobody may remove.
type vault struct {
	*ring
	bucket string
	id     uint64
	group  consensus.GroupID
	locked []lockedVersion
}

// lockedVersion is a version, as S3 and as the nodes know it.
type lockedVersion struct {
	key, version string
	content      []byte
	mode         string // empty under a legal hold

	id       []byte
	seq      uint64
	manifest []byte
}

const lockedUntil = "2090-01-01T00:00:00Z"

// vault makes a bucket with a small and a large version under compliance, one that a legal hold keeps, and one under governance.
func (r *ring) vault(t *testing.T, name string) *vault {
	t.Helper()
	v := &vault{ring: r, bucket: bucketName(name)}
	r.is(t, &request{method: http.MethodPut, path: "/" + v.bucket, as: r.root, head: map[string]string{"x-amz-bucket-object-lock-enabled": "true"}}, 200, "")
	v.find(t)
	for _, l := range []lockedVersion{
		{key: "small", content: []byte(keptContent), mode: "COMPLIANCE"},
		{key: "large", content: bytes.Repeat([]byte(keptContent), 20_000), mode: "COMPLIANCE"},
		{key: "held", content: []byte(keptContent)},
		{key: "governed", content: []byte(keptContent), mode: "GOVERNANCE"},
	} {
		head := map[string]string{"x-amz-object-lock-legal-hold": "ON", "content-md5": md5Of(string(l.content))}
		if l.mode != "" {
			head = map[string]string{"x-amz-object-lock-mode": l.mode, "x-amz-object-lock-retain-until-date": r.until, "content-md5": md5Of(string(l.content))}
		}
		a := r.is(t, &request{method: http.MethodPut, path: "/" + v.bucket + "/" + l.key, as: r.root, body: l.content, head: head}, 200, "")
		l.version = a.header.Get("X-Amz-Version-Id")
		if r.gateway != nil {
			at := v.lookup(t, l.key)
			l.id, l.seq, l.manifest = at.GetHead().GetVersion(), at.GetHead().GetSeq(), at.GetManifest()
		}
		v.locked = append(v.locked, l)
	}
	return v
}

// find asks the nodes where the bucket is kept.
func (v *vault) find(t *testing.T) {
	t.Helper()
	if v.gateway == nil {
		return
	}
	b := v.gateway.query(t, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Bucket{Bucket: &meta.BucketQuery{Name: v.bucket}}}).GetBucket()
	v.id, v.group = b.GetId(), consensus.GroupID(b.GetGroup())
}

// lookup asks the nodes for the current version of a key.
func (v *vault) lookup(t *testing.T, key string) (at *meta.LookupAnswer) {
	t.Helper()
	must(t, v.gateway.leader(t, func(n *peer.Remote) (err error) {
		at, err = n.Lookup(t.Context(), v.group, &meta.LookupQuery{Bucket: v.id, Key: []byte(key), Body: true})
		return err
	}))
	return at
}

// intact checks that every version has its bytes and its lock.
func (v *vault) intact(t *testing.T) {
	t.Helper()
	for _, l := range v.locked {
		v.has(t, &l)
	}
}

func (v *vault) has(t *testing.T, l *lockedVersion) {
	t.Helper()
	path := "/" + v.bucket + "/" + l.key
	if a := v.is(t, &request{method: http.MethodGet, path: path, query: "versionId=" + l.version, as: v.root}, 200, ""); !bytes.Equal(a.body, l.content) {
		t.Errorf("%s is now %.100q", path, a.body)
	}
	what, want := "retention", []string{"<Mode>" + l.mode + "</Mode>", "<RetainUntilDate>" + strings.TrimSuffix(v.until, "Z")}
	if l.mode == "" {
		what, want = "legal-hold", []string{"<Status>ON</Status>"}
	}
	a := v.is(t, &request{method: http.MethodGet, path: path, query: what + "&versionId=" + l.version, as: v.root}, 200, "")
	for _, part := range want {
		if !strings.Contains(string(a.body), part) {
			t.Errorf("the %s of %s is now %s", what, path, a.body)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventuallyWithin bounds a wait that would hang.
const eventuallyWithin = time.Minute

// eventually asks again and again until there is no error or the time is up.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	deadline := time.NewTimer(eventuallyWithin)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("after %v: %v", eventuallyWithin, err)
		}
	}
}

var errAllowed = errors.New("it was allowed")

// refused says what is wrong when something that must not be was done.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		t.Error(fmt.Errorf("%s: %w", what, errAllowed))
	}
}
