package meta

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

// AppendMetadata encodes what a client said of an object as it is stored, always in the same form.
func AppendMetadata(dst []byte, m *api.Metadata) []byte {
	rec := &Metadata{
		ContentType: []byte(m.ContentType), CacheControl: []byte(m.CacheControl), ContentDisposition: []byte(m.ContentDisposition),
		ContentEncoding: []byte(m.ContentEncoding), ContentLanguage: []byte(m.ContentLanguage), Expires: []byte(m.Expires),
		WebsiteRedirect: []byte(m.WebsiteRedirect), KeyCheck: m.KeyCheck,
	}
	for _, name := range slices.Sorted(maps.Keys(m.User)) {
		rec.User = append(rec.User, &UserMetadata{Name: []byte(name), Value: []byte(m.User[name])})
	}
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, rec)
	if err != nil {
		panic("meta: metadata cannot be encoded: " + err.Error())
	}
	return out
}

// AppendTags encodes tags as they are stored, in ascending order of their keys; nothing for no tags.
func AppendTags(dst []byte, tags []api.Tag) []byte {
	if len(tags) == 0 {
		return dst
	}
	rec := new(Tags)
	for _, t := range slices.SortedFunc(slices.Values(tags), func(a, b api.Tag) int { return strings.Compare(a.Key, b.Key) }) {
		rec.Tags = append(rec.Tags, &Tag{Key: []byte(t.Key), Value: []byte(t.Value)})
	}
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, rec)
	if err != nil {
		panic("meta: tags cannot be encoded: " + err.Error())
	}
	return out
}

// ParseTags decodes what AppendTags made. Corrupt for anything else. It is coded by hand: lifecycle reads the tags of whole buckets.
func ParseTags(b []byte) (tags []api.Tag, err error) {
	good := eachBytes(b, func(num protowire.Number, rec []byte) bool {
		if num != 1 {
			return true
		}
		tags = append(tags, api.Tag{})
		return eachBytes(rec, func(num protowire.Number, text []byte) bool {
			switch num {
			case 1:
				tags[len(tags)-1].Key = string(text)
			case 2:
				tags[len(tags)-1].Value = string(text)
			}
			return true
		})
	})
	if !good {
		return nil, &api.Error{Kind: api.Corrupt, Op: "meta.ParseTags"}
	}
	return tags, nil
}

// eachBytes calls f for the fields of a message that are bytes. It says whether b is a message and f was content with all of it.
func eachBytes(b []byte, f func(num protowire.Number, val []byte) bool) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return false
		}
		if typ == protowire.BytesType {
			if val, _ := protowire.ConsumeBytes(b[n:]); !f(num, val) {
				return false
			}
		}
		b = b[n+m:]
	}
	return true
}

// ParseMetadata decodes what AppendMetadata made. Corrupt for anything else.
func ParseMetadata(b []byte) (api.Metadata, error) {
	var rec Metadata
	if err := proto.Unmarshal(b, &rec); err != nil {
		return api.Metadata{}, &api.Error{Kind: api.Corrupt, Op: "meta.ParseMetadata", Err: err}
	}
	m := api.Metadata{
		ContentType: string(rec.ContentType), CacheControl: string(rec.CacheControl),
		ContentDisposition: string(rec.ContentDisposition), ContentEncoding: string(rec.ContentEncoding),
		ContentLanguage: string(rec.ContentLanguage), Expires: string(rec.Expires),
		WebsiteRedirect: string(rec.WebsiteRedirect), KeyCheck: rec.KeyCheck,
	}
	if len(rec.User) > 0 {
		m.User = make(map[string]string, len(rec.User))
		for _, u := range rec.User {
			m.User[string(u.GetName())] = string(u.GetValue())
		}
	}
	return m, nil
}
