package meta

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

func TestTags(t *testing.T) {
	for _, c := range []struct {
		name string
		doc  []byte
		want []api.Tag // nil is Corrupt, but for none
	}{
		{"none", nil, nil},
		{"some", AppendTags(nil, []api.Tag{{Key: "b", Value: ""}, {Key: "a", Value: "ü"}}), []api.Tag{{Key: "a", Value: "ü"}, {Key: "b", Value: ""}}},
		{"an empty tag", []byte{0x0a, 0x00}, []api.Tag{{}}},
		{"a field of a later release", append(AppendTags(nil, []api.Tag{{Key: "a", Value: "1"}}), 0x98, 0x06, 0x05), []api.Tag{{Key: "a", Value: "1"}}},
		{"a field of a later release in a tag", []byte{0x0a, 0x06, 0x0a, 0x01, 'a', 0x98, 0x06, 0x05}, []api.Tag{{Key: "a"}}},
		{"cut", []byte{0x0a, 0x05, 0x0a, 0x01, 'a'}, nil},
		{"cut in a tag", []byte{0x0a, 0x03, 0x0a, 0x02, 'a'}, nil},
		{"no message", []byte{0xff}, nil},
	} {
		got, err := ParseTags(c.doc)
		corrupt := c.want == nil && len(c.doc) > 0
		if !slices.Equal(got, c.want) || (api.KindOf(err) == api.Corrupt) != corrupt || (err != nil) != corrupt {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if known := proto.Unmarshal(c.doc, new(Tags)); (known != nil) != corrupt {
			t.Errorf("%s: the library says %v", c.name, known)
		}
	}
}
