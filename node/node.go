package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/client"
	"shoal/node/consensus"
	"shoal/node/keyring"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/repair"
	"shoal/node/server"
	"shoal/node/shardstore"
	"shoal/p2p"
	"shoal/p2p/transport"
)

// Node is one node with all its parts. Open makes it, Run lives its life.
type Node struct {
	cfg  Config
	lock *os.File

	desc    *description
	profile erasure.Profile
	root    rootCredential

	id      *transport.Identity
	net     *network
	db      *pebble.DB
	host    *consensus.Host
	machine *meta.Machine
	drives  map[peer.DriveID]*shardstore.Store
	keys    *keyring.Keyring
	server  *server.Server
	client  *client.Client
	repair  *repair.Repair

	ready atomic.Bool
	full  atomic.Bool // the disk of the metadata is nearly full
}

// Open reads or makes the data directory, opens drives and metadata, and binds the peers' ports. It
// serves nothing before Run. What it cannot open it leaves as it was; the error says what to do.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg.withDefaults()}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	if err := n.openDirectory(); err != nil {
		return err
	}
	if err := n.openSecrets(); err != nil {
		return err
	}
	var err error
	if n.drives, err = openDrives(&n.cfg, n.desc); err != nil {
		return err
	}
	if n.net, err = openNetwork(n); err != nil {
		return err
	}
	if err := n.openMetadata(ctx); err != nil {
		return err
	}
	n.assemble()
	return n.net.host.Listen()
}

func (n *Node) openDirectory() error {
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
	if n.desc, err = describe(&n.cfg, old); err != nil {
		return err
	}
	if n.profile, err = erasure.ParseProfile(n.desc.Erasure); err != nil {
		return fmt.Errorf("%s: %w", describedFile, err)
	}
	return n.desc.write(n.cfg.DataDir)
}

func (n *Node) path(name string) string { return filepath.Join(n.cfg.DataDir, name) }

func (n *Node) openSecrets() error {
	if n.desc.Ready {
		if _, err := os.Stat(n.path(identityFile)); err != nil {
			return fmt.Errorf("the identity %s is missing: restore it from your backup", n.path(identityFile))
		}
	}
	var err error
	if n.id, err = transport.LoadOrCreateIdentity(n.path(identityFile)); err != nil {
		return secretError(err)
	}
	rootKey, err := keyring.LoadOrCreateRootKey(n.path(rootKeyFile), !n.desc.Ready)
	if err != nil {
		return err
	}
	n.keys = keyring.New(rootKey)
	n.root, err = loadRootCredential(n.path(credentialsFile), !n.desc.Ready)
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
		Link: &link{n.net.host}, Fatal: fatal, Logger: n.cfg.Logger, Registerer: n.cfg.Registerer,
		CacheBytes: entryCacheBytes, AcceptLoss: n.cfg.AcceptLogLoss,
	})
	if errors.Is(err, consensus.ErrLogLost) {
		return fmt.Errorf("%w: restore the metadata from your backup, or start with --accept-log-loss to go on without what is lost", err)
	}
	if err != nil {
		return err
	}
	groups := n.groups()
	if n.desc.Ready && len(n.host.Groups()) < len(groups) {
		return fmt.Errorf("the metadata %s holds %d of %d groups: restore it from your backup", dir, len(n.host.Groups()), len(groups))
	}
	return n.host.Bootstrap(ctx, groups)
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

// assemble builds what stands on drives, metadata and network.
func (n *Node) assemble() {
	n.server = server.New(server.Config{
		Host: n.host, DB: n.db, Machine: n.machine, Drives: n.drives, Keyring: n.keys, Full: n.full.Load, Logger: n.cfg.Logger,
	})
	n.net.dir.local = n.server
	n.client = client.New(client.Config{Directory: n.net.dir, BufferBytes: n.cfg.BufferBytes, Logger: n.cfg.Logger})
	n.repair = repair.New(repair.Config{
		Client: n.client, Directory: n.net.dir, Layout: n.client.Layout, Drives: n.drives, DB: n.db, Leads: n.leads, Drop: n.server.DropOwner,
		OrphanGrace: n.cfg.OrphanGrace, SweepEvery: min(max(n.cfg.OrphanGrace, time.Second), time.Hour), ScrubEvery: n.cfg.ScrubPeriod,
		Logger: n.cfg.Logger, Registerer: n.cfg.Registerer,
	})
	n.server.Connect(n.client, n.repair, &operator{n})
	n.net.serve(n)
}

// Store is the node's client: all of package api.
func (n *Node) Store() *Store { return &Store{n.client, n} }

// Store is the client of a node in the same process. It is ready only when the node is.
type Store struct {
	*client.Client
	n *Node
}

// Ready implements api.Health.
func (s *Store) Ready(ctx context.Context) error {
	if !s.n.ready.Load() {
		return &api.Error{Kind: api.Unavailable, Op: "node.Ready", Detail: "The store is starting."}
	}
	return s.Client.Ready(ctx)
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
	above.Go(func() error { return n.net.run(actx, n.drives) })
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

// serve sets the store up if that is still to be done, and then works in the background.
func (n *Node) serve(ctx context.Context) error {
	if err := n.setUp(ctx); err != nil {
		return fmt.Errorf("set up the store: %w", err)
	}
	n.ready.Store(true)
	return n.repair.Run(ctx)
}

func (n *Node) close() error {
	var errs []error
	if n.net != nil {
		errs = append(errs, n.net.close())
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
