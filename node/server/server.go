// Package server answers what members ask of a node, by calling the node's own parts: metadata
// groups, drives and keys. It is a peer.Node; a gateway in the same process calls it directly, and
// peer.Serve puts it on the network.
//
// What it guards itself, whoever asks: a shard loses an owner only after the owner's group has said
// that the owner is dead, and a version that is being read is not dead. The directory forgets a bucket only after the
// bucket's group has closed it, empty, for good.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/keyring"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// Config names a node's parts. All are required but what says otherwise.
type Config struct {
	Host    *consensus.Host
	Self    consensus.NodeID // this node
	DB      *pebble.DB
	Machine *meta.Machine
	Drives  map[peer.DriveID]*shardstore.Store
	Keyring *keyring.Keyring
	// Shared gives what every node of the cluster holds alike, for one that has joined.
	Shared func() *peer.BootstrapAnswer
	// Founder asks the system group whether this node is to make the first replica of a group and has
	// not yet confirmed it. nil says that it is. May be nil: then no group is made.
	Founder func(ctx context.Context, g consensus.GroupID) error
	// Members gives the member table as this node has it.
	Members func() *meta.MembersAnswer
	// Recall gives what this node keeps of the system group. May be nil: then it keeps nothing.
	Recall func(q peer.RecallQuestion) (*peer.Recollection, error)
	// Full says that the disk of the metadata is nearly full. It is asked for each command. May be nil.
	Full func() bool
	// Clock reads the clock of another node. May be nil when there is none.
	Clock func(ctx context.Context, node p2p.NodeID) (time.Time, error)
	// Level gives up to which level another node understands commands, as far as is known. May be nil when there is none.
	Level func(node p2p.NodeID) uint32
	// Now stamps commands. Default: time.Now.
	Now func() time.Time
	// Logger takes what an operator should know. Default: slog.Default.
	Logger *slog.Logger
}

// Server is a node's own implementation of peer.Node.
type Server struct {
	Config
	pins    *pins
	reigns  reigns
	agreed  agreements
	levels  levels
	layout  atomic.Pointer[peer.Layout] // the last one made
	last    atomic.Int64                // when the last request of a client came, Unix nanoseconds
	callers callers

	// Set by Connect, before anything is served.
	owners  Owners
	buckets Buckets
	healer  Healer
	admin   Admin
}

// Owners asks owners' groups, wherever they are led, whether owners live.
type Owners interface {
	OwnerStates(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner) ([]meta.OwnerState, error)
}

// Buckets asks buckets' groups, wherever they are led.
type Buckets interface {
	// CloseBucket closes a bucket that is being deleted for good, as its group knows it. BucketNotEmpty when it holds anything.
	CloseBucket(ctx context.Context, b *meta.Bucket) error
}

// Healer brings a chunk back to full redundancy.
type Healer interface {
	Heal(ctx context.Context, chunk chunker.ChunkID, width int) error
}

// Admin answers an operator's questions in JSON.
type Admin interface {
	Answer(ctx context.Context, what string, arg []byte) ([]byte, error)
}

var _ peer.Node = (*Server)(nil)

// New makes a server. Connect must follow.
func New(cfg Config) *Server {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Server{Config: cfg, pins: newPins(cfg.Now)}
}

// Connect gives the server what is itself built on the server.
func (s *Server) Connect(o Owners, b Buckets, h Healer, a Admin) {
	s.owners, s.buckets, s.healer, s.admin = o, b, h, a
}

// Propose implements peer.Metadata.
func (s *Server) Propose(ctx context.Context, g consensus.GroupID, cmd *meta.Command) (*meta.Result, error) {
	if err := s.refuseGrowth(cmd); err != nil {
		return nil, err
	}
	if asksForClient(cmd) {
		s.touch()
		s.called(g)
	}
	if err := s.beforeForgetting(ctx, g, cmd); err != nil {
		return nil, err
	}
	cmd.Stamp, cmd.Agreed, cmd.Level = s.Now().UnixNano(), 0, s.level(g)
	if endsLocks(cmd) {
		cmd.Agreed = s.agreedTime(ctx, g)
	}
	data, err := proto.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	res, err := s.Host.Propose(ctx, g, data)
	if err != nil {
		return nil, proposeError(err)
	}
	return res.(*meta.Result), nil
}

func proposeError(err error) error {
	kind := api.Internal
	var nl *consensus.NotLeaderError
	switch {
	case errors.As(err, &nl):
		return &peer.NotLeaderError{Group: nl.Group, Leader: p2p.NodeID(nl.Leader)}
	case errors.Is(err, consensus.ErrOutcomeUnknown):
		kind = api.OutcomeUnknown
	case errors.Is(err, consensus.ErrTooLarge):
		kind = api.EntityTooLarge
	case errors.Is(err, consensus.ErrBusy):
		kind = api.SlowDown
	case errors.Is(err, consensus.ErrStopped), errors.Is(err, consensus.ErrNoReplica), errors.Is(err, consensus.ErrReplicaBroken), errors.Is(err, consensus.ErrChangeRefused):
		kind = api.Unavailable
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = api.Canceled
	}
	return &api.Error{Kind: kind, Op: "server.propose", Err: err}
}

// Query implements peer.Metadata.
func (s *Server) Query(ctx context.Context, g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	if q.GetList() != nil {
		s.called(g)
	}
	a, err := read(ctx, s, g, func() (*meta.Answer, error) { return s.Machine.Query(s.DB, g, q) })
	if err != nil {
		return nil, err
	}
	if o := q.GetOwners(); o != nil && !o.GetNamed() {
		s.sparePinned(g, o.GetOwners(), a.GetOwners().GetStates())
	}
	return a, a.Err("server.Query")
}

// read gives what is read from group g here, linearizably. Only the leader answers: versions that are being read are known to it
// alone, and it needs no hop to confirm what it has. What was read while the replica was taken away counts for nothing: this process
// may have hung since the barrier, and others lead the group by now.
func read[T any](ctx context.Context, s *Server, g consensus.GroupID, from func() (T, error)) (answer T, err error) {
	id, leader, here := s.Host.Leader(g)
	if !here {
		return answer, &peer.NotLeaderError{Group: g, Leader: p2p.NodeID(leader)}
	}
	if err := s.Host.ReadBarrier(ctx, g); err != nil {
		return answer, proposeError(err)
	}
	if answer, err = from(); !s.Host.Holds(g, id) {
		var none T
		return none, proposeError(consensus.ErrNoReplica)
	}
	return answer, err
}

// sparePinned takes back the word "dead" for versions that are being read, and for all while the
// leader is so new that it may not have heard of every reader.
func (s *Server) sparePinned(g consensus.GroupID, owners []*meta.StreamOwner, states []meta.OwnerState) {
	young := s.young(g)
	for i := range states {
		if v := owners[i].GetVersion(); states[i] == meta.OwnerState_OWNER_DEAD && len(v) == 16 && (young || s.pins.held(peer.VersionID(v))) {
			states[i] = meta.OwnerState_OWNER_UNKNOWN
		}
	}
}

// Lookup implements peer.Metadata.
func (s *Server) Lookup(ctx context.Context, g consensus.GroupID, q *meta.LookupQuery) (*meta.LookupAnswer, error) {
	s.called(g)
	return read(ctx, s, g, func() (*meta.LookupAnswer, error) { return s.lookup(g, q) })
}

func (s *Server) lookup(g consensus.GroupID, q *meta.LookupQuery) (*meta.LookupAnswer, error) {
	s.touch()
	if !q.GetBody() {
		return s.Machine.Lookup(s.DB, g, q)
	}
	s.pins.gate.RLock()
	defer s.pins.gate.RUnlock()
	a, err := s.Machine.Lookup(s.DB, g, q)
	if err == nil && len(a.GetManifest()) > 0 {
		s.pins.add(peer.VersionID(a.GetHead().GetVersion()))
	}
	return a, err
}

// List implements peer.Metadata.
func (s *Server) List(ctx context.Context, g consensus.GroupID, q *meta.ListQuery) (*meta.ListPage, error) {
	s.called(g)
	return read(ctx, s, g, func() (*meta.ListPage, error) { return s.Machine.List(s.DB, g, q) })
}

// Pin implements peer.Metadata. A leader that is deposed without knowing must not renew a pin that its successor never hears of.
func (s *Server) Pin(ctx context.Context, g consensus.GroupID, v peer.VersionID) error {
	_, err := read(ctx, s, g, func() (struct{}, error) {
		s.pins.renew(v)
		return struct{}{}, nil
	})
	return err
}

// Unpin implements peer.Metadata.
func (s *Server) Unpin(_ consensus.GroupID, v peer.VersionID) { s.pins.release(v) }

// Members implements peer.Node.
func (s *Server) Members(context.Context) (*meta.MembersAnswer, error) {
	return s.Config.Members(), nil
}

// Recall implements peer.Node.
func (s *Server) Recall(_ context.Context, q peer.RecallQuestion) (*peer.Recollection, error) {
	if s.Config.Recall == nil {
		return nil, &api.Error{Kind: api.Unavailable, Op: "server.Recall"}
	}
	return s.Config.Recall(q)
}

// Admin implements peer.Node.
func (s *Server) Admin(ctx context.Context, what string, arg []byte) ([]byte, error) {
	return s.admin.Answer(ctx, what, arg)
}
