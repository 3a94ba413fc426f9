package s3op

import (
	"net/http"
	"strings"
	"time"

	"shoal/node/api"
)

// verdict is what the conditions of a read come to.
type verdict uint8

const (
	proceed verdict = iota
	unmodified
	failed
)

// conditions are the four conditions of a read, or of the source of a copy.
type conditions struct {
	match, noneMatch         string
	modified, unmodified     time.Time
	hasMatch, hasNoneMatch   bool
	hasModified, hasUnmodifd bool
}

// readConditions reads conditions whose headers begin with prefix. Dates that are none
// are ignored, as RFC 9110 demands.
func readConditions(h http.Header, prefix string) conditions {
	var c conditions
	c.match, c.hasMatch = lines(h, prefix+"If-Match")
	c.noneMatch, c.hasNoneMatch = lines(h, prefix+"If-None-Match")
	c.modified, c.hasModified = date(h, prefix+"If-Modified-Since")
	c.unmodified, c.hasUnmodifd = date(h, prefix+"If-Unmodified-Since")
	return c
}

func lines(h http.Header, name string) (string, bool) {
	values, ok := h[name]
	if !ok {
		return "", false
	}
	return strings.Join(values, ","), true
}

func date(h http.Header, name string) (time.Time, bool) {
	values, ok := h[name]
	if !ok || len(values) != 1 {
		return time.Time{}, false
	}
	t, err := http.ParseTime(values[0])
	return t, err == nil
}

// decide holds the conditions against an object, in the order of RFC 9110 (section
// 13.2.2), which is that of S3: If-Match outweighs If-Unmodified-Since, If-None-Match
// outweighs If-Modified-Since
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html). With failed it
// names the condition.
func (c *conditions) decide(info *api.ObjectInfo) (verdict, string) {
	changed := info.LastModified.Truncate(time.Second)
	switch {
	case c.hasMatch:
		if !etagIn(c.match, info.ETag, false) {
			return failed, "If-Match"
		}
	case c.hasUnmodifd && changed.After(c.unmodified):
		return failed, "If-Unmodified-Since"
	}
	switch {
	case c.hasNoneMatch:
		if etagIn(c.noneMatch, info.ETag, true) {
			return unmodified, "If-None-Match"
		}
	case c.hasModified && !changed.After(c.modified):
		return unmodified, "If-Modified-Since"
	}
	return proceed, ""
}

// etagIn says whether a list of ETags, or "*", names etag. Weak ones count only where
// weak comparison is meant.
func etagIn(list, etag string, weak bool) bool {
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "*" {
			return true
		}
		if rest, ok := strings.CutPrefix(item, "W/"); ok {
			if !weak {
				continue
			}
			item = rest
		}
		if trimETag(item) == etag {
			return true
		}
	}
	return false
}
