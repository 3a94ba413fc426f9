package policy

import (
	"strings"
)

// checkBucket refuses a statement of a bucket policy that speaks of other buckets, or has an action
// that none of its resources can be the object of.
func (st *statement) checkBucket(bucket string) error {
	var reach [OnObject + 1]bool
	for _, path := range st.paths {
		onBucket, onObject, ok := reaches(path, bucket)
		if !ok {
			return refuse("Policy has invalid resource: %q is not of bucket %s.", path, bucket)
		}
		reach[OnBucket] = reach[OnBucket] || onBucket
		reach[OnObject] = reach[OnObject] || onObject
	}
	for _, name := range st.named {
		set, err := readActions([]string{name})
		if err != nil {
			return err
		}
		s3, applies := false, st.except
		for i, a := range catalogue {
			if !set.has(i) || !strings.HasPrefix(a.name, "s3:") {
				continue
			}
			s3 = true
			applies = applies || reach[a.target]
		}
		switch {
		case !s3:
			return refuse("Policy has invalid action: %q is not an action of S3.", name)
		case !applies:
			return refuse("Action does not apply to any resource(s) in statement: %q.", name)
		}
	}
	return nil
}

// reaches says whether a resource can be the bucket, an object of it, or neither.
func reaches(path, bucket string) (onBucket, onObject, ok bool) {
	if path == "*" {
		return true, true, true
	}
	name, _, hasKey := strings.Cut(strings.TrimPrefix(path, arnPrefix), "/")
	p, err := compile(name, syntax{wildcards: true})
	if err != nil || !strings.Contains(name, "${") && !p.match(bucket, nil) {
		return false, false, false
	}
	return !hasKey, hasKey || strings.ContainsAny(name, "*$"), true // a star reaches over the slash
}

// needsTags says whether the statement looks at tags of the object.
func (st *statement) needsTags() bool {
	for _, path := range st.paths {
		if namesTag(path) {
			return true
		}
	}
	for i := range st.conditions {
		c := &st.conditions[i]
		if isTagKey(c.key) {
			return true
		}
		for _, text := range c.texts {
			if namesTag(text) {
				return true
			}
		}
	}
	return false
}

func isTagKey(key string) bool {
	return strings.HasPrefix(key, "s3:existingobjecttag/") || strings.HasPrefix(key, "aws:resourcetag/")
}

func namesTag(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "${s3:existingobjecttag/") || strings.Contains(text, "${aws:resourcetag/")
}
