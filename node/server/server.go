// Package server answers what members ask of a node, by calling the node's own parts: metadata
// groups, drives and keys. It is a peer.Node; a gateway in the same process calls it directly, and
// peer.Serve puts it on the network.
//
// What it guards itself, whoever asks: a shard loses an owner only after the owner's group has said
// that the owner is dead, and a version that is being read is not dead.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/keyring"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// Config names a node's parts. All are required but what says otherwise.
type Config struct {
	Host    *consensus.Host
	DB      *pebble.DB
	Machine *meta.Machine
	Drives  map[peer.DriveID]*shardstore.Store
	Keyring *keyring.Keyring
	// Full says that the disk of the metadata is nearly full. It is asked for each command. May be nil.
	Full func() bool
	// Now stamps commands. Default: time.Now.
	Now func() time.Time
	// Logger takes what an operator should know. Default: slog.Default.
	Logger *slog.Logger
}

// Server is a node's own implementation of peer.Node.
type Server struct {
	Config
	pins *pins

	// Set by Connect, before anything is served.
	owners Owners
	healer Healer
	admin  Admin
}

// Owners asks owners' groups, wherever they are led, whether owners live.
type Owners interface {
	OwnerStates(ctx context.Context, g consensus.GroupID, owners []*meta.StreamOwner) ([]meta.OwnerState, error)
}

// Healer brings a chunk back to full redundancy.
type Healer interface {
	Heal(ctx context.Context, chunk chunker.ChunkID) error
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
func (s *Server) Connect(o Owners, h Healer, a Admin) { s.owners, s.healer, s.admin = o, h, a }

// Propose implements peer.Metadata.
func (s *Server) Propose(ctx context.Context, g consensus.GroupID, cmd *meta.Command) (*meta.Result, error) {
	if err := s.refuseGrowth(cmd); err != nil {
		return nil, err
	}
	cmd.Stamp = s.Now().UnixNano()
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
	case errors.Is(err, consensus.ErrStopped), errors.Is(err, consensus.ErrNoReplica), errors.Is(err, consensus.ErrReplicaBroken):
		kind = api.Unavailable
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = api.Canceled
	}
	return &api.Error{Kind: kind, Op: "server.propose", Err: err}
}

// Query implements peer.Metadata.
func (s *Server) Query(ctx context.Context, g consensus.GroupID, q *meta.Query) (*meta.Answer, error) {
	if err := s.Host.ReadBarrier(ctx, g); err != nil {
		return nil, proposeError(err)
	}
	a, err := s.Machine.Query(s.DB, g, q)
	if err != nil {
		return nil, err
	}
	if o := q.GetOwners(); o != nil {
		s.sparePinned(o.GetOwners(), a.GetOwners().GetStates())
	}
	return a, a.Err("server.Query")
}

// sparePinned takes back the word "dead" for versions that are being read.
func (s *Server) sparePinned(owners []*meta.StreamOwner, states []meta.OwnerState) {
	for i := range states {
		if v := owners[i].GetVersion(); states[i] == meta.OwnerState_OWNER_DEAD && len(v) == 16 && s.pins.held(peer.VersionID(v)) {
			states[i] = meta.OwnerState_OWNER_UNKNOWN
		}
	}
}

// Lookup implements peer.Metadata.
func (s *Server) Lookup(ctx context.Context, g consensus.GroupID, q *meta.LookupQuery) (*meta.LookupAnswer, error) {
	if err := s.Host.ReadBarrier(ctx, g); err != nil {
		return nil, proposeError(err)
	}
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
	if err := s.Host.ReadBarrier(ctx, g); err != nil {
		return nil, proposeError(err)
	}
	return s.Machine.List(s.DB, g, q)
}

// Pin implements peer.Metadata.
func (s *Server) Pin(_ context.Context, _ consensus.GroupID, v peer.VersionID) error {
	s.pins.renew(v)
	return nil
}

// Unpin implements peer.Metadata.
func (s *Server) Unpin(_ consensus.GroupID, v peer.VersionID) { s.pins.release(v) }

// Layout implements peer.Node.
func (s *Server) Layout(ctx context.Context) (*peer.Layout, error) {
	sa, err := s.Query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Settings{Settings: &meta.SettingsQuery{}}})
	if err != nil {
		return nil, err
	}
	pa, err := s.Query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Placements{Placements: &meta.PlacementsQuery{CurrentOnly: true}}})
	if err != nil {
		return nil, err
	}
	set, ps := sa.GetSettings(), pa.GetPlacements().GetPlacements()
	if set == nil || len(ps) == 0 {
		return nil, &api.Error{Kind: api.Unavailable, Op: "server.Layout", Detail: "The store is not set up yet."}
	}
	table, err := placement.Decode(ps[0].GetTable())
	if err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "server.Layout", Err: err}
	}
	return &peer.Layout{
		Epoch: ps[0].GetEpoch(), Cluster: [16]byte(set.GetCluster()), Partitions: set.GetPartitions(),
		Profile:   erasure.Profile{K: uint8(set.GetDataShards()), M: uint8(set.GetParityShards())},
		InlineMax: int(set.GetInlineMax()), Region: set.GetRegion(), Table: table,
	}, nil
}

// Admin implements peer.Node.
func (s *Server) Admin(ctx context.Context, what string, arg []byte) ([]byte, error) {
	return s.admin.Answer(ctx, what, arg)
}
