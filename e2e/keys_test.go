package e2e

import (
	"fmt"
	"strings"
)

// oddKeys are 200 and some keys that S3 allows and that a store may stumble over
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
func oddKeys() []string {
	keys := []string{
		"a", "a/", "a//", "a//b", "a/b", "a/b/", "a/./b", "a/../b", "a/../../b", ".", "..", "../a", "a\x01b", "\x1f", "./a", "a/.", "a/..",
		"...", "..a", "/a", "//a", "/", "//", "a b", " a", "a ", "  ", "a+b", "+", "a%b", "a%2Fb", "a%252Fb", "%", "%%", "%00", "%zz",
		"a%20b", "a?b", "a?b=c&d=e", "a#b", "a&b", "a=b", "a;b", "a:b", "a@b", "a$b", "a,b", "a!b", "a*b", "a'b", "a\"b", "a(b)", "a[b]", "a{b}",
		"a<b>", "<a/>", "&amp;", "&#x41;", "]]>", "a\\b", "a|b", "a^b", "a`b", "a~b", "~", "a_b", "a-b", "-", "--", "-rf", ".hidden", "CON", "nul.txt", "a.", "a.txt",
		"ä", "ä/ö", "a\u0308", "ß", "SS", "ss", "İ", "i", "日本語", "日本語/キー", "한국어", "العربية", "עברית", "😀", "😀/😀", "👨\u200d👩\u200d👧", "\u200b", "a\u202eb", "\ufeff", "\ufffd",
		"\u00a0", "\u2028", "\u2029", "e\u0301", "é", "\U0001f600\U0001f3fd", "\U0010ffff", "x\ty", "x\ny", "x\ry", "x\r\ny", "\x7f", "\u0085",
		"meta", "meta/000001.log", "xl.meta", ".minio.sys", "index", "LOCK", "CURRENT", "uploads", "a?uploads", "a?uploadId=1", "?list-type=2", "?delete", "location",
		"aws-chunked", "null", "undefined", "true", "0", "-1", "1e9", "NaN", "'; DROP TABLE keys; --", "${HOME}", "$(id)", "{{.}}", "%s%n", "\\x00", "\\u0000",
		strings.Repeat("k", 1024), strings.Repeat("é", 512), strings.Repeat("語", 341), strings.Repeat("😀", 256),
		strings.Repeat("a/", 512), strings.Repeat("/", 1024), strings.Repeat("../", 341), strings.Repeat("%2F", 341), strings.Repeat(" ", 1023) + "x",
		strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("x", 300) + "/" + strings.Repeat("y", 300),
	}
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("n/%d", i), fmt.Sprintf("n/%02d/", i))
	}
	return keys
}
