package meta

import (
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

const (
	replicasMax  = 16
	counterGroup = "group"
	settingMax   = 1024 // bytes of a value
	settingsMax  = 1024
)

func (v *view) groupKey(group uint32) []byte {
	return v.keep(binary.BigEndian.AppendUint32(v.key(spaceGroup), group))
}

// putGroup replaces the place of a group and gives the map its next version.
func (t *tx) putGroup(p *GroupPlace) (*Result, error) {
	if p == nil || p.Group > groupMax || len(p.Voters) > replicasMax || len(p.Learners) > replicasMax || len(p.Site) > nameMax {
		return invalid("The group's place is out of range."), nil
	}
	for _, id := range append(append([]string(nil), p.Voters...), p.Learners...) {
		if len(id) == 0 || len(id) > peerIDMax {
			return invalid("A peer ID is out of range."), nil
		}
	}
	var old GroupPlace
	ok, err := t.getMessage(t.groupKey(p.Group), &old)
	if err != nil {
		return nil, err
	}
	if p.Site != old.Site || p.Site != "" && !old.Founded {
		return refuse(api.ConditionalConflict, "The group is not one that was founded in this site."), nil
	}
	p.Version, p.Founder, p.Founded = old.Version, old.Founder, old.Founded
	if ok && proto.Equal(&old, p) {
		return &Result{}, nil
	}
	return &Result{}, t.storeGroup(p)
}

// storeGroup writes a place under the next version of the map.
func (t *tx) storeGroup(p *GroupPlace) (err error) {
	if p.Version, err = t.take(spaceCounter, counterGroup, 1); err != nil {
		return err
	}
	return t.setMessage(t.groupKey(p.Group), p)
}

// queryGroups gives the whole map of groups.
func (v *view) queryGroups() (*GroupsAnswer, error) {
	next, _, err := v.getUint(v.nameKey(spaceCounter, counterGroup))
	if err != nil {
		return nil, err
	}
	a := &GroupsAnswer{Version: max(next, 1) - 1}
	err = v.scan(v.keep(v.key(spaceGroup)), func(_, val []byte) (bool, error) {
		p := new(GroupPlace)
		a.Places = append(a.Places, p)
		return true, unmarshal(val, p)
	})
	return a, err
}

// setSetting changes a setting, or takes it back to its default. What values mean is not decided
// here.
func (t *tx) setSetting(c *SetSetting) (*Result, error) {
	if len(c.Name) == 0 || len(c.Name) > nameMax || len(c.Value) > settingMax {
		return invalid("The setting's name or value is out of range."), nil
	}
	if c.Value == "" {
		return &Result{}, t.delete(t.nameKey(spaceSetting, c.Name))
	}
	have, err := t.queryDynamic()
	if err != nil {
		return nil, err
	}
	if _, known := have.Values[c.Name]; !known && len(have.Values) >= settingsMax {
		return invalid("There are too many settings."), nil
	}
	return &Result{}, t.set(t.nameKey(spaceSetting, c.Name), []byte(c.Value))
}

// queryDynamic gives the settings that were set.
func (v *view) queryDynamic() (*DynamicAnswer, error) {
	a := &DynamicAnswer{Values: make(map[string]string)}
	err := v.scan(v.keep(v.key(spaceSetting)), func(name, val []byte) (bool, error) {
		a.Values[string(name)] = string(val)
		return true, nil
	})
	return a, err
}
