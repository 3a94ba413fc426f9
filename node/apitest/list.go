package apitest

import (
	"context"
	"sort"
	"strings"

	"shoal/node/api"
)

// List lists keys in order, rolling up common prefixes.
func (m *Memory) List(ctx context.Context, req *api.ListObjects) (*api.ListPage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b, err := m.bucket(ctx, req.Bucket)
	if err != nil {
		return nil, err
	}
	page := new(api.ListPage)
	if req.Max <= 0 {
		return page, nil
	}
	from := max(req.Prefix, req.After)
	last := ""
	for i := sort.SearchStrings(b.keys, from); i < len(b.keys) && strings.HasPrefix(b.keys[i], req.Prefix); {
		key := b.keys[i]
		name, common := rollUp(key, req.Prefix, req.Delimiter)
		if name <= req.After {
			i++
			continue
		}
		if b.current(key) == nil {
			i++
			continue
		}
		if len(page.Objects)+len(page.CommonPrefixes) == req.Max {
			page.Truncated, page.Next = true, last
			return page, nil
		}
		if common {
			page.CommonPrefixes = append(page.CommonPrefixes, name)
			i += sort.Search(len(b.keys)-i, func(j int) bool {
				k := b.keys[i+j]
				return k > name && !strings.HasPrefix(k, name)
			})
		} else {
			page.Objects = append(page.Objects, b.current(key).listed(req.Tags))
			i++
		}
		last = name
	}
	return page, nil
}

// rollUp gives what a listing shows for key: itself, or its common prefix.
func rollUp(key, prefix, delimiter string) (name string, common bool) {
	if delimiter == "" {
		return key, false
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return key, false
	}
	return key[:len(prefix)+i+len(delimiter)], true
}

func (o *object) listed(tags bool) api.ListedObject {
	l := api.ListedObject{
		Key: o.info.Key, Size: o.info.Size, ETag: o.info.ETag, LastModified: o.info.LastModified,
		Checksum: o.info.Checksum.Algorithm, Type: o.info.Checksum.Type, Class: o.info.Class,
	}
	if tags {
		l.Tags = o.info.Tags
	}
	return l
}
