package meta

import (
	"maps"
	"slices"
	"strings"

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

// ParseTags decodes what AppendTags made. Corrupt for anything else.
func ParseTags(b []byte) ([]api.Tag, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var rec Tags
	if err := proto.Unmarshal(b, &rec); err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "meta.ParseTags", Err: err}
	}
	tags := make([]api.Tag, len(rec.Tags))
	for i, t := range rec.Tags {
		tags[i] = api.Tag{Key: string(t.GetKey()), Value: string(t.GetValue())}
	}
	return tags, nil
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
