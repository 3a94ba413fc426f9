package meta

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/consensus"
)

// Bounds of a command. A whole command must fit an entry of the log.
const (
	MaxCommandBytes  = 1 << 20
	MaxManifestBytes = 512 << 10
	MaxInlineBytes   = 72 << 10 // sealed
	MaxConfigBytes   = 512 << 10
	MaxMetadataBytes = 16 << 10
	MaxTagsBytes     = 24 << 10
	MaxACLBytes      = 4 << 10
)

// Level is the greatest level of commands that this machine understands, see Command.level.
const Level = LevelFraming

// levelNames is the level from which on a group remembers of which keys its garbage and tombstones were.
const levelNames = 1

// levelParts is the level from which on a bucket's quota counts the parts of open uploads.
const levelParts = 2

// levelNear is the level from which on who creates a bucket may say which groups it may be put in.
const levelNear = 3

// LevelFraming is the level from which on members read manifests that say how long the frames are. It changes no command.
const LevelFraming = 4

// Config holds the parts of the state machine's behaviour that tests vary. All replicas of a
// cluster must run with the same values: they decide what the state is. Zero means the default.
type Config struct {
	// FeedMax is the greatest number of events kept for consumers. Default 100,000, least 1,000.
	FeedMax uint64
	// FeedIdle is the number of events kept while nobody has a cursor. Default 10,000.
	FeedIdle uint64
	// ResultsMax is the greatest number of results kept for repeated commands. Default 100,000.
	ResultsMax uint64
}

// Machine is the state machine of every group of a node. It serves one database. A snapshot may
// replace a group's state between calls of Apply, if Restored is called.
type Machine struct {
	cfg    Config
	txs    sync.Pool
	recent recentIDs
	open   openSums
}

// New makes a machine.
func New(cfg Config) *Machine {
	if cfg.FeedMax == 0 {
		cfg.FeedMax = 100_000
	}
	cfg.FeedMax = max(cfg.FeedMax, feedStep)
	if cfg.FeedIdle == 0 {
		cfg.FeedIdle = 10_000
	}
	if cfg.ResultsMax == 0 {
		cfg.ResultsMax = 100_000
	}
	m := &Machine{cfg: cfg}
	m.txs.New = func() any { return &tx{m: m} }
	return m
}

// Apply runs the commands of entries, in order, on the state of group g as b shows it, and
// writes the new state to b. It gives one *Result for each entry. An error means that the stored
// state cannot be read or contradicts itself; b must then be thrown away.
func (m *Machine) Apply(b *pebble.Batch, g consensus.GroupID, es []consensus.Entry) ([]any, error) {
	t := m.txs.Get().(*tx)
	defer m.txs.Put(t)
	if err := t.begin(b, g); err != nil {
		return nil, err
	}
	results := make([]any, len(es))
	for i := range es {
		r, err := t.apply(es[i].Data)
		if err != nil {
			return nil, fmt.Errorf("apply entry %d of group %d: %w", es[i].Index, g, err)
		}
		results[i] = r
	}
	return results, t.flush()
}

// stampMax bounds stamps: a clock beyond the year 2200 is a mistake.
var stampMax = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// tx runs the commands of one call of Apply. Header and bucket records are kept in memory and
// written at the end, once.
type tx struct {
	view
	m       *Machine
	b       *pebble.Batch
	h       header
	buckets []*bucketState
	pushed  int               // queue items added by the current command
	level   uint32            // of the current command
	recent  *recentSet        // see mayRepeat
	sums    map[uint64]uint64 // see openSums

	wbuf     []byte // encoded values
	wkey     []byte // a key that must outlive the next read
	cur      head   // see currentHead
	curBuf   []byte
	newHead  head
	otherBuf []byte
}

func (t *tx) begin(b *pebble.Batch, g consensus.GroupID) error {
	t.b, t.r, t.g, t.recent = b, b, g, nil
	t.buckets, t.sums = t.buckets[:0], nil
	if err := t.header(&t.h); err != nil {
		return err
	}
	t.sums = t.m.open.take(g, t.h.clock)
	return nil
}

// flush writes the records that were kept back, and lets go of the batch.
func (t *tx) flush() error {
	for _, s := range t.buckets {
		if s.dirty {
			t.wbuf = s.append(t.wbuf[:0])
			if err := t.set(t.uintKey(spaceBucket, s.id), t.wbuf); err != nil {
				return err
			}
		}
	}
	t.wbuf = t.h.append(t.wbuf[:0])
	err := t.set(t.keep(t.key(spaceHeader)), t.wbuf)
	t.b, t.r = nil, nil
	clear(t.buckets)
	if err == nil {
		t.m.open.giveBack(t.g, t.h.clock, t.sums)
	}
	t.sums = nil
	return err
}

// apply runs one command.
func (t *tx) apply(data []byte) (*Result, error) {
	if len(data) > MaxCommandBytes {
		return invalid("The command is too long."), nil
	}
	var c Command
	if err := proto.Unmarshal(data, &c); err != nil {
		return invalid("The command cannot be decoded."), nil
	}
	if c.Stamp < 0 || c.Stamp > stampMax {
		return invalid("The command's stamp is out of range."), nil
	}
	if n := len(c.RequestId); n != 0 && n != requestIDLen {
		return invalid("The request ID has a wrong length."), nil
	}
	if c.Agreed < 0 || c.Agreed > stampMax {
		return invalid("The command's agreed time is out of range."), nil
	}
	t.h.clock = max(uint64(c.Stamp), t.h.clock+1)
	t.h.agreed = max(uint64(c.Agreed), t.h.agreed)
	t.pushed, t.level = 0, c.Level
	r, err := t.once(&c)
	if err != nil {
		return nil, err
	}
	if err := t.tellEpoch(&c, r.GetWritten()); err != nil {
		return nil, err
	}
	return r, t.expire()
}

// tellEpoch adds to the description of a version what the configuration of its bucket is by now.
func (t *tx) tellEpoch(c *Command, w *Written) error {
	if w == nil {
		return nil
	}
	var id uint64
	switch op := c.Op.(type) {
	case *Command_PutVersion:
		id = op.PutVersion.GetBucket()
	case *Command_CompleteUpload:
		id = op.CompleteUpload.GetBucket()
	default:
		return nil
	}
	s, refused, err := t.bucket(id)
	if err == nil && refused == nil {
		w.ConfigEpoch = s.config
	}
	return err
}

// once gives the first result of a repeated command and runs one that is new.
func (t *tx) once(c *Command) (*Result, error) {
	if len(c.RequestId) == 0 {
		return t.run(c)
	}
	repeat, err := t.mayRepeat(c.RequestId)
	if err != nil {
		return nil, err
	}
	if repeat {
		first := new(Result)
		if ok, err := t.getMessage(t.resultKey(c.RequestId), first); err != nil || ok {
			return first.complete(c), err
		}
	}
	r, err := t.run(c)
	if err != nil {
		return nil, err
	}
	return r, t.remember(c.RequestId, r.shorten(c))
}

// run carries out a command of the group's kind.
func (t *tx) run(c *Command) (*Result, error) {
	if r, err := t.held(c); r != nil || err != nil {
		return r, err
	}
	if op, ok := c.Op.(*Command_SetReadOnly); ok {
		return t.setReadOnly(op.SetReadOnly.GetOrder())
	}
	if t.g == consensus.SystemGroup {
		return t.runSystem(c)
	}
	switch op := c.Op.(type) {
	case *Command_PutVersion:
		return t.putVersion(op.PutVersion)
	case *Command_DeleteObjects:
		return t.deleteObjects(op.DeleteObjects)
	case *Command_CreateUpload:
		return t.createUpload(op.CreateUpload)
	case *Command_PutPart:
		return t.putPart(op.PutPart)
	case *Command_CompleteUpload:
		return t.completeUpload(op.CompleteUpload)
	case *Command_AbortUpload:
		return t.abortUpload(op.AbortUpload)
	case *Command_SetBucketConfig:
		return t.setBucketConfig(op.SetBucketConfig)
	case *Command_FenceBucket:
		return t.fenceBucket(op.FenceBucket)
	case *Command_UnfenceBucket:
		return t.unfenceBucket(op.UnfenceBucket)
	case *Command_Condemn:
		return t.condemn(op.Condemn)
	case *Command_GarbageDone:
		return t.garbageDone(op.GarbageDone)
	case *Command_SetCursor:
		return t.setCursor(op.SetCursor)
	case *Command_Recode:
		return t.recode(op.Recode)
	case *Command_SetObjectLock:
		return t.setObjectLock(op.SetObjectLock)
	case *Command_AlterVersion:
		return t.alterVersion(op.AlterVersion)
	case *Command_RenameObject:
		return t.renameObject(op.RenameObject)
	case *Command_Transition:
		return t.transition(op.Transition)
	case *Command_RecodePart:
		return t.recodePart(op.RecodePart)
	default:
		return invalid("The command is not one of a partition group."), nil
	}
}

// runSystem carries out a command of the system group.
func (t *tx) runSystem(c *Command) (*Result, error) {
	switch op := c.Op.(type) {
	case *Command_InitCluster:
		return t.initCluster(op.InitCluster)
	case *Command_CreateBucket:
		return t.createBucket(op.CreateBucket)
	case *Command_BeginDeleteBucket:
		return t.beginDeleteBucket(op.BeginDeleteBucket)
	case *Command_FinishDeleteBucket:
		return t.finishDeleteBucket(op.FinishDeleteBucket)
	case *Command_CancelDeleteBucket:
		return t.cancelDeleteBucket(op.CancelDeleteBucket)
	case *Command_PutMember:
		return t.putMember(op.PutMember.GetMember())
	case *Command_RemoveMember:
		return t.removeMember(op.RemoveMember)
	case *Command_PutInvite:
		return t.putInvite(op.PutInvite.GetInvite(), op.PutInvite.GetLife())
	case *Command_UseInvite:
		return t.useInvite(op.UseInvite)
	case *Command_PutPlacement:
		return t.putPlacement(op.PutPlacement.GetPlacement())
	case *Command_DropPlacements:
		return t.dropPlacements(op.DropPlacements)
	case *Command_PutKek:
		return t.putKEK(op.PutKek)
	case *Command_SetCurrentKek:
		return t.setCurrentKEK(op.SetCurrentKek)
	case *Command_PutCredential:
		return t.putCredential(op.PutCredential)
	case *Command_DeleteCredential:
		return t.deleteCredential(op.DeleteCredential)
	case *Command_NextSequence:
		return t.nextSequence(op.NextSequence)
	case *Command_SetMember:
		return t.setMember(op.SetMember)
	case *Command_PutGroup:
		return t.putGroup(op.PutGroup.GetPlace())
	case *Command_SetSetting:
		return t.setSetting(op.SetSetting)
	case *Command_PrepareSite:
		return t.prepareSite(op.PrepareSite)
	case *Command_FinishCreateBucket:
		return t.finishCreateBucket(op.FinishCreateBucket)
	case *Command_FoundGroup:
		return t.foundGroup(op.FoundGroup)
	case *Command_PutIdentity:
		return t.putIdentity(op.PutIdentity)
	case *Command_DeleteIdentity:
		return t.deleteIdentity(op.DeleteIdentity)
	case *Command_SwitchRoot:
		return t.switchRoot(op.SwitchRoot)
	case *Command_NoteKeyUses:
		return t.noteKeyUses(op.NoteKeyUses)
	case *Command_PutAcmeItem:
		return t.putACMEItem(op.PutAcmeItem)
	case *Command_DeleteAcmeItem:
		return &Result{}, t.delete(t.nameKey(spaceACME, op.DeleteAcmeItem.GetName()))
	default:
		return invalid("The command is not one of the system group."), nil
	}
}

func (t *tx) now() int64 { return int64(t.h.clock) }

// agreed is the latest time of which a majority of the voters has said that it has passed. It lags behind
// now, which one clock can push ahead.
func (t *tx) agreed() int64 { return int64(t.h.agreed) }

// bucket gives a bucket's record, which stays in memory until flush.
func (t *tx) bucket(id uint64) (*bucketState, *Result, error) {
	for _, s := range t.buckets {
		if s.id == id {
			if s.fenced != 0 {
				return s, refuse(api.NoSuchBucket, ""), nil
			}
			return s, nil, nil
		}
	}
	s := new(bucketState)
	r, err := t.view.bucket(s, id)
	if err != nil || id == 0 {
		return nil, r, err
	}
	t.buckets = append(t.buckets, s)
	return s, r, nil
}

// currentHead reads the current version of a key: nil when there is none. It lives until the
// next call.
func (t *tx) currentHead(s *bucketState, key []byte) (*head, error) {
	var ok bool
	var err error
	t.curBuf, ok, err = t.current(&t.cur, t.curBuf, s.id, key, s.mode() != Versioning_VERSIONING_OFF)
	if err != nil || !ok {
		return nil, err
	}
	return &t.cur, nil
}

func (t *tx) set(key, value []byte) error {
	if err := t.b.Set(key, value, nil); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	return nil
}

func (t *tx) delete(key []byte) error {
	if err := t.b.Delete(key, nil); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	return nil
}

// deletePrefix removes all keys that begin with prefix.
func (t *tx) deletePrefix(prefix []byte) error {
	end := successor(append([]byte(nil), prefix...))
	if err := t.b.DeleteRange(prefix, end, nil); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	return nil
}

func (t *tx) setMessage(key []byte, m proto.Message) error {
	b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(t.wbuf[:0], m)
	if err != nil {
		return broken("encode %T: %v", m, err)
	}
	t.wbuf = b
	return t.set(key, b)
}

func (t *tx) setUint(key []byte, n uint64) error {
	t.wbuf = appendUint64(t.wbuf[:0], n)
	return t.set(key, t.wbuf)
}
