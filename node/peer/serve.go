package peer

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// readMax bounds what one ReadShardRequest asks for.
const readMax = p2p.PayloadSizeMax

// Serve answers the messages of Remotes from n. It must run before the transport starts.
func Serve(t p2p.Transport, n Served) {
	s := service{n}
	both := p2p.RoleNode | p2p.RoleGateway
	t.Handle(methodPropose, both, s.propose)
	t.Handle(methodQuery, both, s.query)
	t.Handle(methodLookup, both, s.lookup)
	t.Handle(methodPin, both, s.pin)
	t.Handle(methodSecret, both, s.secret)
	t.Handle(methodLayout, both, s.layout)
	t.Handle(methodAdmin, both, s.admin)
	t.Handle(methodAdd, both, s.addOwner)
	t.Handle(methodDrop, both, s.dropOwner)
	t.Handle(methodDrops, both, s.dropOwners)
	t.Handle(methodStat, both, s.stat)
	t.Handle(methodHeal, both, s.heal)
	t.Handle(methodMembers, both, s.members)
	t.Handle(methodRecall, both, s.recall)
	t.Handle(methodHave, both, s.have)
	t.Handle(methodReplica, p2p.RoleNode, s.replica)
	t.Handle(methodStatuses, p2p.RoleNode, s.statuses)
	t.Handle(methodClock, p2p.RoleNode, s.clock)
	t.Handle(methodBootstrap, p2p.RoleNode, s.bootstrap)
	t.Handle(methodPutShard, both, s.putShard)
	t.Handle(methodReadShard, both, s.readShard)
}

// Served is a node that others ask.
type Served interface {
	Node
	// Called is told of each request of a client that another member sends: a command, or nil for a question.
	Called(from p2p.Peer, g consensus.GroupID, cmd *meta.Command)
}

type service struct{ n Served }

// reply encodes an answer, or prepares an error for the network.
func reply(m proto.Message, err error) (*p2p.Message, error) {
	if err != nil {
		return nil, toWire(err)
	}
	if m == nil {
		return nil, nil
	}
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	return &p2p.Message{Header: b}, nil
}

func decode(b []byte, m proto.Message, what string) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return malformed(what)
	}
	return nil
}

func (s service) propose(ctx context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in ProposeRequest
	cmd := new(meta.Command)
	if err := decode(req.Header, &in, "proposal"); err != nil {
		return reply(nil, err)
	}
	if err := decode(in.Command, cmd, "command"); err != nil {
		return reply(nil, err)
	}
	if err := mayPropose(from, cmd); err != nil {
		return reply(nil, err)
	}
	s.n.Called(from, consensus.GroupID(in.Group), cmd)
	res, err := s.n.Propose(ctx, consensus.GroupID(in.Group), cmd)
	return reply(res, err)
}

func decodeQuery(req *p2p.Message) (consensus.GroupID, *meta.Query, error) {
	var in QueryRequest
	q := new(meta.Query)
	if err := decode(req.Header, &in, "query"); err != nil {
		return 0, nil, err
	}
	return consensus.GroupID(in.Group), q, decode(in.Query, q, "query")
}

func (s service) query(ctx context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	g, q, err := decodeQuery(req)
	if err != nil {
		return reply(nil, err)
	}
	if q.GetList() != nil {
		s.n.Called(from, g, nil)
	}
	a, err := s.n.Query(ctx, g, q)
	return reply(a, err)
}

func (s service) lookup(ctx context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	g, q, err := decodeQuery(req)
	if err != nil {
		return reply(nil, err)
	}
	if q.GetLookup() == nil {
		return reply(nil, malformed("lookup"))
	}
	s.n.Called(from, g, nil)
	a, err := s.n.Lookup(ctx, g, q.GetLookup())
	var refused *api.Error
	if errors.As(err, &refused) && a.GetHead().DeleteMarker() {
		return reply(&meta.Answer{Code: refused.WireCode(), Detail: refused.Detail, A: &meta.Answer_Lookup{Lookup: a}}, nil)
	}
	return reply(&meta.Answer{A: &meta.Answer_Lookup{Lookup: a}}, err)
}

func (s service) pin(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in PinRequest
	body := req.Header
	if len(body) == 0 {
		body = req.Payload // of a notification
	}
	if err := decode(body, &in, "pin"); err != nil {
		return reply(nil, err)
	}
	if len(in.Version) != 16 {
		return reply(nil, malformed("pin"))
	}
	if in.Release {
		s.n.Unpin(consensus.GroupID(in.Group), VersionID(in.Version))
		return nil, nil
	}
	return reply(nil, s.n.Pin(ctx, consensus.GroupID(in.Group), VersionID(in.Version)))
}

func (s service) secret(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in SecretRequest
	if err := decode(req.Header, &in, "request for a secret"); err != nil {
		return reply(nil, err)
	}
	if in.AccessKeyId != "" {
		c, err := s.n.Credential(ctx, in.AccessKeyId)
		return reply(&SecretAnswer{Secret: c.Secret, Principal: c.Principal, Expires: timeToWire(c.Expires), SessionPolicy: c.SessionPolicy}, err)
	}
	kek, err := s.n.KEK(ctx, in.KekId)
	return reply(&SecretAnswer{KekId: kek.ID, Kek: kek.Key[:]}, err)
}

func (s service) layout(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in LayoutRequest
	if err := decode(req.Header, &in, "question for the layout"); err != nil {
		return reply(nil, err)
	}
	l, err := s.n.Layout(ctx, nil)
	if err != nil {
		return reply(nil, err)
	}
	if proto.Equal(&in, l.request()) {
		return reply(&LayoutAnswer{Unchanged: true}, nil)
	}
	return reply(layoutToWire(l), nil)
}

func (s service) admin(ctx context.Context, from p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in AdminRequest
	if err := decode(req.Header, &in, "question"); err != nil {
		return reply(nil, err)
	}
	if err := mayAdmin(from, in.What); err != nil {
		return reply(nil, err)
	}
	b, err := s.n.Admin(ctx, in.What, in.Arg)
	return reply(&AdminAnswer{Json: b}, err)
}

func (s service) addOwner(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	d, ids, o, err := decodeOwners(req)
	if err == nil {
		err = s.n.AddOwner(ctx, d, ids, o)
	}
	return reply(nil, err)
}

func (s service) dropOwner(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	d, ids, o, err := decodeOwners(req)
	if err == nil {
		err = DropOwner(ctx, s.n, d, ids, o)
	}
	return reply(nil, err)
}

func (s service) dropOwners(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in DropOwnersRequest
	if err := decode(req.Header, &in, "list of drops"); err != nil {
		return reply(nil, err)
	}
	d, drops, err := dropsFromWire(&in)
	if err != nil {
		return reply(nil, err)
	}
	done, err := s.n.DropOwners(ctx, d, drops)
	a := &DropOwnersAnswer{Done: make([]byte, len(done))}
	for i, yes := range done {
		if yes {
			a.Done[i] = 1
		}
	}
	return reply(a, err)
}

func decodeOwners(req *p2p.Message) (DriveID, []shardstore.ID, shardstore.Owner, error) {
	var in OwnersRequest
	if err := decode(req.Header, &in, "list of shards"); err != nil {
		return DriveID{}, nil, shardstore.Owner{}, err
	}
	return ownersFromWire(&in)
}

func (s service) stat(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in StatShardRequest
	if err := decode(req.Header, &in, "shard reference"); err != nil {
		return reply(nil, err)
	}
	d, id, err := refFromWire(in.Ref)
	if err != nil {
		return reply(nil, err)
	}
	info, err := s.n.StatShard(ctx, d, id)
	return reply(infoToWire(&info), err)
}

func (s service) heal(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in HealRequest
	if err := decode(req.Header, &in, "chunk"); err != nil || len(in.Chunk) != 32 || in.Width == 0 || in.Width > shardstore.ShardsMax {
		return reply(nil, malformed("chunk"))
	}
	return reply(nil, s.n.Heal(ctx, chunker.ChunkID(in.Chunk), int(in.Width)))
}

func (s service) putShard(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in PutShardRequest
	if err := decode(req.Header, &in, "shard"); err != nil {
		return reply(nil, err)
	}
	d, id, err := refFromWire(in.Ref)
	if err != nil {
		return reply(nil, err)
	}
	owner, err := ownerFromWire(in.Owner)
	if err != nil {
		return reply(nil, err)
	}
	hashes, err := hashesFromWire(in.Hashes)
	if err != nil || in.K > shardstore.ShardsMax || in.M > shardstore.ShardsMax {
		return reply(nil, malformed("shard"))
	}
	return reply(nil, s.n.PutShard(ctx, d, &shardstore.Shard{
		ID: id, K: uint8(in.K), M: uint8(in.M), ChunkLen: in.ChunkLen, Hashes: hashes, Owner: owner, Payload: req.Payload,
	}))
}

func (s service) readShard(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in ReadShardRequest
	if err := decode(req.Header, &in, "read"); err != nil {
		return reply(nil, err)
	}
	d, id, err := refFromWire(in.Ref)
	if err != nil || in.Length > readMax || in.Offset > shardstore.PayloadBytesMax {
		return reply(nil, malformed("read"))
	}
	buf := getReadBuffer(int(in.Length))
	if err := s.n.ReadShard(ctx, d, id, buf, int64(in.Offset), in.mode()); err != nil {
		putReadBuffer(buf)
		return reply(nil, err)
	}
	return p2p.NewMessage(nil, buf, func() { putReadBuffer(buf) }), nil
}

func (r *ReadShardRequest) mode() ReadMode {
	switch {
	case r.Rebuild:
		return ToRebuild
	case r.Verified:
		return Verified
	}
	return AsStored
}

func (s service) have(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in HaveShardsRequest
	if err := decode(req.Header, &in, "list of shards"); err != nil {
		return reply(nil, err)
	}
	d, ids, err := haveFromWire(&in)
	if err != nil {
		return reply(nil, err)
	}
	var states []bool
	switch {
	case in.Owners:
		return s.shardOwners(ctx, d, ids)
	case in.Verify && len(ids) != 1:
		err = malformed("list of shards")
	case in.Verify:
		states = make([]bool, 1)
		states[0], err = s.n.VerifyShard(ctx, d, ids[0])
	default:
		states, err = s.n.HaveShards(ctx, d, ids)
	}
	a := &HaveShardsAnswer{States: make([]byte, len(states))}
	for i, st := range states {
		if st {
			a.States[i] = 1
		}
	}
	return reply(a, err)
}

func (s service) shardOwners(ctx context.Context, d DriveID, ids []shardstore.ID) (*p2p.Message, error) {
	sums, err := s.n.ShardOwners(ctx, d, ids)
	a := &HaveShardsAnswer{States: make([]byte, len(sums)), Owners: make([]uint64, len(sums))}
	for i, sum := range sums {
		if sum != NoShard {
			a.States[i] = 1
		}
		a.Owners[i] = uint64(sum)
	}
	return reply(a, err)
}

func (s service) replica(ctx context.Context, _ p2p.Peer, req *p2p.Message) (*p2p.Message, error) {
	var in ReplicaRequest
	if err := decode(req.Header, &in, "change of replicas"); err != nil {
		return reply(nil, err)
	}
	a, err := actFromWire(&in)
	if err == nil {
		err = s.n.ActOnReplica(ctx, a)
	}
	return reply(nil, err)
}

func (s service) statuses(ctx context.Context, _ p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
	list, err := s.n.GroupStatuses(ctx)
	a := new(GroupStatusAnswer)
	for i := range list {
		a.Groups = append(a.Groups, statusToWire(&list[i]))
	}
	return reply(a, err)
}

func (s service) clock(ctx context.Context, _ p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
	now, err := s.n.Clock(ctx)
	return reply(&ClockAnswer{Now: now.UnixNano()}, err)
}

func (s service) bootstrap(ctx context.Context, _ p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
	a, err := s.n.Bootstrap(ctx)
	return reply(a, err)
}

func (s service) members(ctx context.Context, _ p2p.Peer, _ *p2p.Message) (*p2p.Message, error) {
	a, err := s.n.Members(ctx)
	return reply(a, err)
}
