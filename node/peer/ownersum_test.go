package peer

import (
	"testing"

	"shoal/node/shardstore"
)

func TestOwnerSum(t *testing.T) {
	a := shardstore.Owner{Group: 1, Bucket: 2, Version: [16]byte{3}, Stream: 4}
	others := []shardstore.Owner{a, a, a, a}
	others[0].Group, others[1].Bucket, others[2].Version[15], others[3].Stream = 9, 9, 9, 9
	if OwnersOf([]shardstore.Owner{a, others[0]}) != OwnersOf([]shardstore.Owner{others[0], a}) {
		t.Error("the order counts")
	}
	for _, b := range others {
		for _, list := range [][]shardstore.Owner{{b}, {a, b}, nil} {
			if !OwnersOf([]shardstore.Owner{a}).Differ(OwnersOf(list)) {
				t.Errorf("%v is not told from %v", a, list)
			}
		}
	}
	for _, s := range []OwnerSum{NoShard, UnknownOwners} {
		if s.Differ(OwnersOf(nil)) || OwnersOf(nil).Differ(s) {
			t.Errorf("%d is said to differ", s)
		}
	}
}
