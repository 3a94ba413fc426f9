package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"shoal/node/consensus"
	"shoal/p2p/transport"
)

// Holding is what a stopped node has of one metadata group.
type Holding struct {
	Group uint32 `json:"group"`
	// Role is voter, learner, removed or empty.
	Role string `json:"role"`
	// LastTerm and LastIndex are where the replica's log ends: of several survivors the one with the greatest pair, term first, has
	// everything that the others have.
	LastTerm  uint64   `json:"last_term"`
	LastIndex uint64   `json:"last_index"`
	Applied   uint64   `json:"applied"`
	Voters    []string `json:"voters"`
	Learners  []string `json:"learners,omitempty"`
	// Alone says that the replica is the only voter already: nothing has to be recovered.
	Alone     bool      `json:"alone,omitempty"`
	Recovered time.Time `json:"recovered,omitzero"`
	// Unfit is why the replica cannot be recovered, "" when it can.
	Unfit string `json:"unfit,omitempty"`
	// Changed says that this call recovered or discarded it.
	Changed bool `json:"changed,omitempty"`
}

// Holdings is what a stopped node has of all groups.
type Holdings struct {
	PeerID  string    `json:"peer_id"`
	Cluster string    `json:"cluster"`
	Groups  []Holding `json:"groups"`
	// LogLost is what is wrong with the end of the metadata's log, "" for nothing: then the node has forgotten what it had acknowledged.
	LogLost string `json:"log_lost,omitempty"`
}

// stopped is the metadata of a node that does not run.
type stopped struct {
	dir  string
	lock *os.File
	desc *description
	cfg  consensus.Config
}

// openStopped takes the data directory of a node that does not run.
func openStopped(dir string, readOnly bool) (_ *stopped, err error) {
	s := &stopped{dir: dir}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("the data directory %s: %w", dir, err)
	}
	if s.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	n := &Node{cfg: Config{DataDir: dir}}
	if s.desc, err = readDescription(dir); err != nil {
		return nil, err
	}
	if s.desc == nil || !s.desc.Ready {
		return nil, fmt.Errorf("%s is no data directory of a node that was ever ready", dir)
	}
	if _, err := os.Stat(n.path(identityFile)); err != nil {
		return nil, fmt.Errorf("the key %s is missing: restore it from your backup", n.path(identityFile))
	}
	id, err := transport.LoadOrCreateIdentity(n.path(identityFile))
	if err != nil {
		return nil, secretError(err)
	}
	opts := consensus.PebbleOptions(consensus.PebbleConfig{MemTableBytes: memTableBytes})
	opts.ReadOnly, opts.ErrorIfNotExists = readOnly, true
	db, err := pebble.Open(n.path(metaDir), opts)
	if err != nil {
		return nil, fmt.Errorf("the metadata %s cannot be opened: %w", n.path(metaDir), err)
	}
	s.cfg = consensus.Config{DB: db, FS: vfs.Default, Dir: n.path(metaDir + ".side"), Self: consensus.NodeID(id.NodeID())}
	return s, nil
}

func (s *stopped) close() error {
	var err error
	if s.cfg.DB != nil {
		err = s.cfg.DB.Close()
	}
	return errors.Join(err, s.lock.Close())
}

// survey lists what the node holds.
func (s *stopped) survey() (*Holdings, error) {
	list, err := consensus.Survey(s.cfg.DB, s.cfg.FS, s.cfg.Dir)
	h := &Holdings{PeerID: string(s.cfg.Self), Cluster: s.desc.Cluster.String(), Groups: []Holding{}}
	if err != nil && (!errors.Is(err, consensus.ErrLogLost) || list == nil) {
		return nil, err
	}
	if err != nil {
		h.LogLost = err.Error()
	}
	for i := range list {
		h.Groups = append(h.Groups, holdingRow(&list[i]))
	}
	return h, nil
}

func holdingRow(c *consensus.Holding) Holding {
	h := Holding{
		Group: uint32(c.Group), Role: c.Role, LastTerm: c.LastTerm, LastIndex: c.LastIndex, Applied: c.Applied, Unfit: c.Unfit, Voters: []string{},
		Alone: len(c.Voters) == 1 && c.Voters[0].Replica == c.Replica && len(c.Outgoing) == 0,
	}
	for _, m := range slices.Concat(c.Voters, c.Outgoing) {
		if !slices.Contains(h.Voters, string(m.Node)) {
			h.Voters = append(h.Voters, string(m.Node))
		}
	}
	for _, m := range c.Learners {
		h.Learners = append(h.Learners, string(m.Node))
	}
	if c.Recovered != nil {
		h.Recovered = c.Recovered.At
	}
	return h
}

// ReadHoldings tells what a stopped node holds of each group. It changes nothing.
func ReadHoldings(dataDir string) (_ *Holdings, err error) {
	s, err := openStopped(dataDir, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return s.survey()
}

// RecoverGroups makes the replicas that a stopped node holds the only voters of their groups; see consensus.Recover. Without groups it takes
// all that can be recovered and are not alone already.
func RecoverGroups(dataDir string, groups []uint32) (*Holdings, error) {
	fit := func(h *Holding) bool { return h.Unfit == "" && !h.Alone }
	return recoverGroups(dataDir, groups, fit)
}

// recoverGroups leaves word of each group before it is recovered: the node puts it on record when it starts.
func recoverGroups(dir string, groups []uint32, fit func(*Holding) bool) (*Holdings, error) {
	return rewriteGroups(dir, groups, fit, func(cfg consensus.Config, before []Holding, chosen []consensus.GroupID) ([]consensus.Holding, error) {
		ids := make([]uint32, len(chosen))
		for i, g := range chosen {
			ids[i] = uint32(g)
		}
		if err := noteRecoveries(filepath.Join(dir, groupRecovery), before, ids); err != nil {
			return nil, err
		}
		return consensus.Recover(cfg, chosen)
	})
}

// DiscardGroups destroys the replicas that a stopped node holds; see consensus.Discard. Its drives stay as they are. Without groups it takes
// all.
func DiscardGroups(dataDir string, groups []uint32) (*Holdings, error) {
	fit := func(h *Holding) bool { return h.Role != consensus.RoleRemoved || h.LastIndex > 0 }
	return rewriteGroups(dataDir, groups, fit, func(cfg consensus.Config, _ []Holding, chosen []consensus.GroupID) ([]consensus.Holding, error) {
		return consensus.Discard(cfg, chosen)
	})
}

// rewriteGroups has change rewrite what a stopped node holds of groups: of those that are named, or of all that are fit.
func rewriteGroups(dir string, groups []uint32, fit func(*Holding) bool, change func(consensus.Config, []Holding, []consensus.GroupID) ([]consensus.Holding, error)) (_ *Holdings, err error) {
	s, err := openStopped(dir, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	before, err := s.survey()
	if err != nil {
		return nil, err
	}
	var chosen []consensus.GroupID
	for i := range before.Groups {
		h := &before.Groups[i]
		named := slices.Contains(groups, h.Group)
		if named && h.Alone && !fit(h) {
			return nil, fmt.Errorf("group %d has its only voter here: there is nothing to recover", h.Group)
		}
		if named || len(groups) == 0 && fit(h) {
			chosen = append(chosen, consensus.GroupID(h.Group))
		}
	}
	for _, g := range groups {
		if !slices.Contains(chosen, consensus.GroupID(g)) {
			return nil, fmt.Errorf("this node holds no replica of group %d", g)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("there is no group here that has to be changed")
	}
	if _, err := change(s.cfg, before.Groups, chosen); err != nil {
		return nil, err
	}
	after, err := s.survey()
	if err != nil {
		return nil, err
	}
	for i := range after.Groups {
		after.Groups[i].Changed = slices.Contains(chosen, consensus.GroupID(after.Groups[i].Group))
	}
	return after, nil
}

// isEmptyDir tells whether a directory does not exist or has nothing in it.
func isEmptyDir(dir string) (bool, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return len(list) == 0, err
}
