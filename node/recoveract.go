package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
	"shoal/node/keyring"
)

// recoveredGroup is what is told of a group before it was recovered on a stopped node, and after it.
type recoveredGroup struct {
	Group     uint32    `json:"group"`
	Voters    []string  `json:"voters"`
	Recovered time.Time `json:"recovered,omitzero"`
	// LastTerm and LastIndex are where the surviving log ended; before alone.
	LastTerm  uint64 `json:"last_term,omitempty"`
	LastIndex uint64 `json:"last_index,omitempty"`
}

// readRecoveries reads what groups were like before they were to be recovered; nothing when none was.
func readRecoveries(path string) (list []recoveredGroup, err error) {
	text, err := keyring.ReadPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read; remove it, and the recovery is on no record: %w", path, err)
	}
	return list, nil
}

// noteRecoveries leaves word for the next start of what groups are like before they are recovered. One that has word already keeps it.
func noteRecoveries(path string, before []Holding, groups []uint32) error {
	list, err := readRecoveries(path)
	if err != nil {
		return err
	}
	for i := range before {
		h := &before[i]
		known := slices.ContainsFunc(list, func(r recoveredGroup) bool { return r.Group == h.Group })
		if !known && slices.Contains(groups, h.Group) {
			list = append(list, recoveredGroup{Group: h.Group, Voters: h.Voters, Recovered: h.Recovered, LastTerm: h.LastTerm, LastIndex: h.LastIndex})
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return keyring.WritePrivate(path, text)
}

// recordRecoveries puts on record which groups were recovered while the node was stopped. A process that ends meanwhile tells it again.
func (n *Node) recordRecoveries(ctx context.Context) error {
	path := n.path(groupRecovery)
	noted, err := readRecoveries(path)
	if err != nil || noted == nil {
		return err
	}
	list, err := n.server.GroupStatuses(ctx)
	if err != nil {
		return err
	}
	var before, after []recoveredGroup
	var ids []string
	for i := range noted {
		for j := range list {
			row := groupRow(&list[j])
			if row.ID == noted[i].Group && !row.Recovered.Equal(noted[i].Recovered) {
				before = append(before, noted[i])
				after = append(after, recoveredGroup{Group: row.ID, Voters: row.Voters, Recovered: row.Recovered})
				ids = append(ids, fmt.Sprint(row.ID))
			}
		}
	}
	if len(ids) > 0 {
		target := "group:"
		if len(ids) > 1 {
			target = "groups:"
		}
		n.record(ctx, api.Act{Kind: api.ActOnMembership, Operation: "RecoverGroups", Target: target + strings.Join(ids, ","), Before: before, After: after})
		n.cfg.Logger.Warn("groups were recovered on this node's disk", "groups", strings.Join(ids, ","))
	}
	return os.Remove(path)
}
