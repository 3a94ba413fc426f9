package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"

	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/controller"
	"shoal/node/keyring"
	"shoal/node/meta"
	"shoal/node/network"
	"shoal/node/peer"
	"shoal/node/repair"
	"shoal/node/server"
	"shoal/node/shardstore"
	"shoal/node/sitecache"
	"shoal/p2p"
	"shoal/p2p/transport"
)

// Node is one node with all its parts. Open makes it, Run lives its life.
type Node struct {
	cfg  Config
	lock *os.File

	desc    *description
	mem     *network.Membership // of a node that joined
	profile erasure.Profile     // of a store that this node founds
	root    rootCredential
	rootKey envelope.RootKey

	id  *transport.Identity
	net *network.Network
	// witnesses are other members as this node's gateway needs them.
	witnesses witnesses
	issuer    *issuer
	db        *pebble.DB
	host      *consensus.Host
	machine   *meta.Machine
	drives    map[peer.DriveID]*shardstore.Store
	keys      *keyring.Keyring
	site      *sitecache.Cache
	server    *server.Server
	client    *client.Client
	repair    *repair.Repair
	control   *controller.Driver
	onAct     func(ctx context.Context, a api.Act) error // puts an act on record; nil keeps none; not written once Run was called
	widths    atomic.Pointer[widthsFound]

	peerRules       *peerRules
	moveRate        atomic.Int64           // bytes per second that the operator allows, 0 for no bound
	survives        atomic.Pointer[string] // the setting, as last read; nil before
	settingsChanged chan struct{}          // holds a token when a setting was changed here
	layoutTaken     chan struct{}          // holds a token when the client has taken a layout into use

	describing sync.Mutex // guards desc.Drives once the node serves

	backing sync.Mutex // held by the one backup that may run
	ready   atomic.Bool
	full    atomic.Bool // the disk of the metadata is nearly full
}

// Open reads or makes the data directory, opens drives and metadata, and binds the peers' ports. It
// serves nothing before Run. What it cannot open it leaves as it was; the error says what to do.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg.withDefaults(), settingsChanged: make(chan struct{}, 1), layoutTaken: make(chan struct{}, 1)}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	if err := n.openDirectory(ctx); err != nil {
		return err
	}
	if err := n.openSecrets(); err != nil {
		return err
	}
	var err error
	if n.drives, err = openDrives(&n.cfg, n.desc); err != nil {
		return err
	}
	if err := n.drivesMade(); err != nil {
		return err
	}
	if err := n.openNetwork(); err != nil {
		return err
	}
	if err := n.openMetadata(ctx); err != nil {
		return err
	}
	if err := n.assemble(); err != nil {
		return err
	}
	return n.net.Host.Listen()
}

func (n *Node) openDirectory(ctx context.Context) error {
	if err := os.MkdirAll(n.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	var err error
	if n.lock, err = lockDir(n.cfg.DataDir); err != nil {
		return err
	}
	if err := checkRoom(n.cfg.DataDir); err != nil {
		return err
	}
	old, err := readDescription(n.cfg.DataDir)
	if err != nil {
		return err
	}
	var from *peer.BootstrapAnswer
	if old == nil {
		if from, err = n.enter(ctx); err != nil {
			return err
		}
	} else if old.Joined {
		if n.mem, err = network.LoadMembership(n.path(network.MembershipFile)); err != nil {
			return fmt.Errorf("the membership of this node: %w; restore it from your backup", err)
		}
	}
	if n.desc, err = describe(&n.cfg, old); err != nil {
		return err
	}
	if from != nil {
		n.desc.join(n.mem.Cluster.ID, from)
	}
	if n.profile, err = erasure.ParseProfile(n.desc.Erasure); err != nil {
		return fmt.Errorf("%s: %w", describedFile, err)
	}
	return n.desc.write(n.cfg.DataDir)
}

func (n *Node) path(name string) string { return filepath.Join(n.cfg.DataDir, name) }

func (n *Node) openSecrets() error {
	known := n.desc.Ready || n.desc.Joined // its secrets exist
	for _, name := range []string{identityFile, clusterKeyFile} {
		if _, err := os.Stat(n.path(name)); err != nil && known {
			return fmt.Errorf("the key %s is missing: restore it from your backup", n.path(name))
		}
	}
	var err error
	if n.id, err = transport.LoadOrCreateIdentity(n.path(identityFile)); err != nil {
		return secretError(err)
	}
	if err := n.desc.claim(n.cfg.DataDir, n.id.NodeID()); err != nil {
		return err
	}
	if n.rootKey, err = keyring.LoadOrCreateRootKey(n.path(rootKeyFile), !known); err != nil {
		return err
	}
	n.keys = keyring.New(n.rootKey)
	if n.site, err = sitecache.Open(n.path(siteCacheFile), n.keys, n.cfg.Now); errors.Is(err, sitecache.ErrDamaged) {
		n.cfg.Logger.Warn("what this node kept for when its site is cut off is set aside", "err", err)
	} else if err != nil {
		return err
	}
	n.root, err = loadRootCredential(n.path(credentialsFile), !known)
	return err
}

// secretError tells the operator how to mend the mode of a key file.
func secretError(err error) error {
	var loose *transport.ErrLooseMode
	if errors.As(err, &loose) {
		return fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %s", loose.Path, loose.Mode.Perm(), loose.Path)
	}
	return err
}

func (n *Node) openMetadata(ctx context.Context) error {
	dir := n.path(metaDir)
	if _, err := os.Stat(dir); err != nil && n.desc.Ready {
		return fmt.Errorf("the metadata %s is missing: restore it from your backup; the drives alone are not readable without it", dir)
	}
	fatal := make(chan error, 1)
	opts := consensus.PebbleOptions(consensus.PebbleConfig{
		Logger: n.cfg.Logger, CacheBytes: n.cfg.CacheBytes, MemTableBytes: memTableBytes,
		Fatal: func(err error) {
			select {
			case fatal <- err:
			default:
			}
		},
	})
	var err error
	if n.db, err = pebble.Open(dir, opts); err != nil {
		return fmt.Errorf("the metadata %s cannot be opened: %w; restore it from your backup", dir, err)
	}
	n.machine = meta.New(meta.Config{})
	n.host, err = consensus.Open(consensus.Config{
		DB: n.db, FS: vfs.Default, Dir: n.path(metaDir + ".side"), Self: consensus.NodeID(n.id.NodeID()), Machine: n.machine,
		Link: &link{n.net.Host}, Fatal: fatal, Logger: n.cfg.Logger, Registerer: n.cfg.Registerer,
		CacheBytes: entryCacheBytes, AcceptLoss: n.cfg.AcceptLogLoss && n.alone(),
	})
	if errors.Is(err, consensus.ErrLogLost) && !n.alone() {
		return fmt.Errorf("%w: run `shoal admin recover --discard --all --data %s`, and start again: this node's replicas are made anew from the others", err, n.cfg.DataDir)
	}
	if errors.Is(err, consensus.ErrLogLost) {
		return fmt.Errorf("%w: restore the metadata from your backup, or start with --accept-log-loss to go on without what is lost", err)
	}
	if err != nil {
		return err
	}
	groups := n.groups()
	switch {
	case !n.desc.Ready && !n.desc.Joined:
		return n.host.Bootstrap(ctx, groups)
	case n.alone() && len(n.host.Groups()) < len(groups):
		return fmt.Errorf("the metadata %s holds %d of %d groups: restore it from your backup", dir, len(n.host.Groups()), len(groups))
	}
	return nil
}

// alone tells whether no other node was ever seen: then all there is is here.
func (n *Node) alone() bool {
	if n.desc.Joined {
		return false
	}
	for _, m := range n.net.Table.List() {
		if m.Peer != n.ID() && m.Roles.Has(p2p.RoleNode) {
			return false
		}
	}
	return true
}

// Memory of the metadata: small enough that a store on a small machine is a good neighbour.
const (
	memTableBytes   = 16 << 20
	entryCacheBytes = 16 << 20
)

// groups are the system group and the partition groups.
func (n *Node) groups() []consensus.GroupID {
	gs := make([]consensus.GroupID, n.desc.Partitions+1)
	for i := range gs {
		gs[i] = consensus.GroupID(i)
	}
	return gs
}

// leads gives the groups that this node leads.
func (n *Node) leads() []consensus.GroupID {
	var led []consensus.GroupID
	for _, g := range n.host.Groups() {
		if _, _, here := n.host.Leader(g); here {
			led = append(led, g)
		}
	}
	return led
}

// levelOf is up to which level of commands another node understands, as it said last.
func (n *Node) levelOf(id p2p.NodeID) uint32 {
	r, _ := n.net.Gossip.Get(id)
	return r.Level
}

// clockOf reads the clock of another node.
func (n *Node) clockOf(ctx context.Context, id p2p.NodeID) (time.Time, error) {
	other := n.net.Dir.Node(id)
	if other == nil {
		return time.Time{}, fmt.Errorf("node %s is not known", id)
	}
	return other.Clock(ctx)
}

// assemble builds what stands on drives, metadata and network.
func (n *Node) assemble() (err error) {
	n.server = server.New(server.Config{
		Host: n.host, Self: consensus.NodeID(n.ID()), Clock: n.clockOf, Level: n.levelOf, DB: n.db, Machine: n.machine, Drives: n.drives, Keyring: n.keys, Shared: n.shared, Members: n.net.Members, Founder: n.founder, Recall: n.site.Recall, Full: n.full.Load, Now: n.cfg.Now, Logger: n.cfg.Logger,
	})
	n.net.Dir.Serve(n.server)
	n.client = client.New(client.Config{Directory: n.net.Dir, Self: n.ID(), OnLayout: n.layoutFetched, Alive: n.net.Alive, Far: n.net.Far, Level: n.net.Level, BufferBytes: n.cfg.BufferBytes, StaleCredentials: api.StaleIdentity, Logger: n.cfg.Logger, Registerer: n.cfg.Registerer})
	n.repair = repair.New(repair.Config{
		Client: n.client, Directory: n.net.Dir, Layout: n.client.Layout, Drives: n.drives, DB: n.db, TrimLogs: n.host.TruncateLogs, Leads: n.leads, Applied: n.host.Applied, Drop: n.server.DropOwners, Alive: n.net.Alive, Recoder: n.client, Expirable: n.client, Busy: n.busy, Limit: n.moveRate.Load, Promised: n.promised,
		Now: n.cfg.Now, OrphanGrace: n.cfg.OrphanGrace, SweepEvery: min(max(n.cfg.OrphanGrace, time.Second), time.Hour), ScrubEvery: n.cfg.ScrubPeriod,
		Logger: n.cfg.Logger, Registerer: n.cfg.Registerer,
	})
	n.server.Connect(n.client, n.client, n.repair, &operator{n})
	n.serveNetwork()
	n.control, err = controller.NewDriver(controller.Config{World: &world{n}, Record: n.record, Logger: n.cfg.Logger, Registerer: n.cfg.Registerer})
	return err
}

// Store is the node's client: all of package api.
func (n *Node) Store() *Store { return &Store{n.client, n} }

// Store is the client of a node in the same process. It is ready only when the node is, or has what
// its site needs when it is cut off.
type Store struct {
	*client.Client
	n *Node
}

// Ready implements api.Health.
func (s *Store) Ready(ctx context.Context) (limits []string, err error) {
	if !s.n.ready.Load() && !s.n.site.Filled() {
		return nil, &api.Error{Kind: api.Unavailable, Op: "node.Ready", Detail: "The store is starting."}
	}
	limits, err = s.Client.Ready(ctx)
	if err == nil && len(limits) == 0 && !s.n.ready.Load() {
		err = &api.Error{Kind: api.Unavailable, Op: "node.Ready", Detail: "The store is starting."}
	}
	return limits, err
}

// ID is the node's peer ID.
func (n *Node) ID() p2p.NodeID { return n.id.NodeID() }

// NewRoot gives the root credential; first says that this start made it.
func (n *Node) NewRoot() (accessKeyID, secret string, first bool) {
	return n.root.accessKeyID, n.root.secret, n.root.made
}

// CredentialsPath is where the root credential lies.
func (n *Node) CredentialsPath() string { return n.path(credentialsFile) }

// Run serves until ctx ends, or until a part fails in a way that the process must not survive. It
// closes the node.
func (n *Node) Run(ctx context.Context) error {
	// The metadata and drives outlive what uses them, so that the last requests are answered.
	below, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	base, below := errgroup.WithContext(below)
	base.Go(func() error { return n.host.Run(below) })
	for _, st := range n.drives {
		base.Go(func() error { return st.Run(below) })
	}
	above, actx := errgroup.WithContext(ctx)
	above.Go(func() error { // ends the upper half when the lower one fails
		select {
		case <-actx.Done():
			return nil
		case <-below.Done():
			return errors.New("metadata or drives have stopped")
		}
	})
	above.Go(func() error { return n.net.Run(actx, n.tell) })
	above.Go(func() error { return n.renewOwn(actx) })
	above.Go(func() error { return n.client.Run(actx) })
	above.Go(func() error { return n.watchRoom(actx) })
	above.Go(func() error { return n.serve(actx) })
	err := above.Wait()
	n.ready.Store(false)
	stop()
	fault := base.Wait()
	if errors.Is(fault, consensus.ErrFatal) {
		n.db = nil // its goroutines may never end: leave it to the end of the process
	}
	return errors.Join(fault, err, n.close())
}

// serve sets the store up if that is still to be done, and then works in the background. What is
// kept for the case that the site is cut off is used meanwhile.
func (n *Node) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	up := make(chan struct{}) // closed once the store is set up
	g.Go(func() error {
		if err := n.setUp(ctx); err != nil {
			return fmt.Errorf("set up the store: %w", err)
		}
		n.ready.Store(true)
		close(up)
		g.Go(func() error { return n.control.Run(ctx) })
		g.Go(func() error { return n.settle(ctx) })
		g.Go(func() error { return n.followRates(ctx) })
		return n.followLayouts(ctx)
	})
	g.Go(func() error {
		if n.site.Filled() {
			n.awaitLayout(ctx, up)
		} else {
			awaitClosed(ctx, up)
		}
		return n.repair.Run(ctx)
	})
	return g.Wait()
}

func (n *Node) close() error {
	var errs []error
	if n.net != nil {
		errs = append(errs, n.net.Close())
	}
	errs = append(errs, closeDrives(n.drives))
	if n.db != nil {
		errs = append(errs, n.db.Close())
		n.db = nil
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
		n.lock = nil
	}
	n.drives = nil
	return errors.Join(errs...)
}

// RebuildIndex makes the index of a drive anew from its segments. The node that has the drive must
// not run. The report is one line for the operator.
func RebuildIndex(path string) (report string, err error) {
	cluster, id, err := shardstore.ReadDrive(shardstore.OS(), path)
	if err == nil {
		var r shardstore.Recovery
		r, err = shardstore.RebuildIndex(shardstore.Config{Dir: path, Cluster: cluster, Drive: id})
		report = fmt.Sprintf("rebuilt from %d segments: %d records, %d half-written ones cut off, %d damaged pages",
			r.Segments, r.Blocks, r.Torn, r.BadPages)
	}
	if err != nil {
		return "", driveError(path, err)
	}
	return report, nil
}
