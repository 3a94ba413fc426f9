package s3op

import (
	"strconv"
	"time"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// httpTime gives t as the headers of HTTP do. It is what time.Format(http.TimeFormat)
// gives, without interpreting a layout for each request.
func httpTime(t time.Time) string {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b := make([]byte, 0, 29)
	b = append(b, t.Weekday().String()[:3]...)
	b = append(b, ',', ' ')
	b = append(appendTwo(b, day), ' ')
	b = append(b, month.String()[:3]...)
	b = append(b, ' ')
	b = appendTwo(appendTwo(b, year/100), year%100)
	b = append(b, ' ')
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	return string(append(appendTwo(b, second), " GMT"...))
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }
