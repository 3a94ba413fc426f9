package meta

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
)

// list is List by looking at every key.
func (m *model) list(b *modelBucket, q *ListQuery) (entries, prefixes []string, truncated bool) {
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(b.keys)) {
		if b.keys[key][0].marker {
			continue
		}
		item, isPrefix := foldName(key, string(q.Prefix), string(q.Delimiter))
		if item == "" || item <= string(q.After) || seen[item] {
			continue
		}
		if len(entries)+len(prefixes) == int(q.Max) {
			return entries, prefixes, true
		}
		seen[item] = true
		if isPrefix {
			prefixes = append(prefixes, item)
		} else {
			entries = append(entries, item)
		}
	}
	return entries, prefixes, false
}

// foldName gives what a key is listed as: "" for nothing.
func foldName(key, prefix, delimiter string) (item string, isPrefix bool) {
	if !strings.HasPrefix(key, prefix) {
		return "", false
	}
	if i := strings.Index(key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
		return key[:len(prefix)+i+len(delimiter)], true
	}
	return key, false
}

// uploadNames lists open uploads in the order in which they are answered, and the prefixes that keys are folded into.
func (b *modelBucket) uploadNames(prefix, delimiter string) (names, prefixes []string) {
	us := slices.Clone(b.uploads)
	sort.SliceStable(us, func(i, j int) bool { return us[i].key < us[j].key })
	for _, u := range us {
		if item, isPrefix := foldName(u.key, prefix, delimiter); isPrefix {
			prefixes = append(prefixes, item)
		} else if item != "" {
			names = append(names, fmt.Sprintf("%q %x", u.key, u.id))
		}
	}
	return names, slices.Compact(prefixes)
}

// versionNames lists all versions in the order in which they are answered, and the prefixes that keys are folded into.
func (b *modelBucket) versionNames(prefix, delimiter string) (names, prefixes []string) {
	for _, key := range slices.Sorted(maps.Keys(b.keys)) {
		item, isPrefix := foldName(key, prefix, delimiter)
		switch {
		case isPrefix:
			prefixes = append(prefixes, item)
		case item != "":
			for i, v := range b.keys[key] {
				names = append(names, v.name(key, i == 0))
			}
		}
	}
	return names, slices.Compact(prefixes)
}

// histories lists the versions of keys that have more than an object.
func (b *modelBucket) histories(prefix string) (names []string) {
	for _, key := range slices.Sorted(maps.Keys(b.keys)) {
		if vs := b.keys[key]; strings.HasPrefix(key, prefix) && (len(vs) > 1 || vs[0].marker) {
			for i, v := range vs {
				names = append(names, v.name(key, i == 0))
			}
		}
	}
	return names
}

// name describes a version as listings show it.
func (v *modelVersion) name(key string, latest bool) string {
	return fmt.Sprintf("%q %x %d %d %q %v %v %v", key, v.id, v.seq, v.size, v.etag, v.null, latest, v.marker)
}
