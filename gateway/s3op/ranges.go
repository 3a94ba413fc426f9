package s3op

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"shoal/node/api"
)

// span is a run of an object's bytes.
type span struct{ off, n int64 }

// contentRange is the header that tells a span of an object of size bytes.
func (s span) contentRange(size int64) string {
	b := make([]byte, 0, 48)
	b = strconv.AppendInt(append(b, "bytes "...), s.off, 10)
	b = strconv.AppendInt(append(b, '-'), s.off+s.n-1, 10)
	return string(strconv.AppendInt(append(b, '/'), size, 10))
}

// parseRange reads a Range header for an object of size bytes. ok is false where S3
// ignores the header and answers with the whole object: no bytes unit, more than one
// range, or no range at all. A range that touches no byte is InvalidRange
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html,
// https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2).
func parseRange(header string, size int64) (s span, ok bool, err error) {
	spec, found := strings.CutPrefix(header, "bytes=")
	if !found || strings.Contains(spec, ",") {
		return span{}, false, nil
	}
	first, last, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !found {
		return span{}, false, nil
	}
	if first == "" {
		n, valid := parseOffset(last)
		switch {
		case !valid:
			return span{}, false, nil
		case n == 0 || size == 0:
			return span{}, false, errRange(header, size)
		}
		n = min(n, size)
		return span{off: size - n, n: n}, true, nil
	}
	from, valid := parseOffset(first)
	to := int64(math.MaxInt64)
	if valid && last != "" {
		to, valid = parseOffset(last)
	}
	switch {
	case !valid || from > to:
		return span{}, false, nil
	case from >= size:
		return span{}, false, errRange(header, size)
	}
	to = min(to, size-1)
	return span{off: from, n: to - from + 1}, true, nil
}

// parseOffset reads digits. A number too great to be one is as good as the greatest.
func parseOffset(digits string) (int64, bool) {
	if digits == "" {
		return 0, false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}

// selection is what a GET or HEAD asks for of an object.
type selection struct {
	span
	partial bool
	part    *api.PartInfo // with partNumber of an object that has parts
}

// partNumber reads partNumber; 0 is none.
func (c *call) partNumber() (int, error) {
	text, ok := c.Query.Lookup("partNumber")
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > api.MaxPartNumber {
		return 0, errInvalidArgument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive")
	}
	return n, nil
}

// selectBytes finds what Range, If-Range and partNumber ask for.
func (c *call) selectBytes(info *api.ObjectInfo, part int) (selection, error) {
	whole := selection{span: span{0, info.Size}}
	header := c.HTTP.Header.Get("Range")
	if part > 0 {
		if header != "" {
			return whole, errInvalidRequest("Cannot specify both Range header and partNumber query parameter")
		}
		return selectPart(info, part)
	}
	if header == "" || !c.ifRange(info) {
		return whole, nil
	}
	s, ok, err := parseRange(header, info.Size)
	if err != nil || !ok {
		return whole, err
	}
	return selection{span: s, partial: true}, nil
}

// ifRange says whether the range still means this object (RFC 9110, section 13.1.5).
func (c *call) ifRange(info *api.ObjectInfo) bool {
	values, ok := c.HTTP.Header["If-Range"]
	if !ok {
		return true
	}
	if t, err := http.ParseTime(values[0]); err == nil {
		return t.Unix() == info.LastModified.Unix()
	}
	return len(values) == 1 && strings.HasPrefix(values[0], `"`) && trimETag(values[0]) == info.ETag
}

// selectPart finds the bytes of a part. An object that was not uploaded in parts has
// one: itself.
func selectPart(info *api.ObjectInfo, part int) (selection, error) {
	if info.PartsCount == 0 && part == 1 {
		return selection{span: span{0, info.Size}, partial: info.Size > 0}, nil
	}
	var off int64
	for i := range info.Parts {
		p := &info.Parts[i]
		if p.Number == part {
			return selection{span: span{off, p.Size}, partial: p.Size > 0, part: p}, nil
		}
		off += p.Size
	}
	return selection{}, errPartNumber(part, max(info.PartsCount, 1))
}
