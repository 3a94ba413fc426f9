package s3op

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
)

// Bounds of tags
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html,
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html).
const (
	bucketTagsMax  = 50
	tagKeyRunes    = 128
	tagValueRunes  = 256
	tagPunctuation = " +-=._:/@"
)

// checkTags holds tags against what S3 takes, but for their number.
func checkTags(tags []s3xml.Tag) error {
	known := make(map[string]bool, len(tags))
	for _, t := range tags {
		switch {
		case t.Key == "" || !tagText(t.Key, tagKeyRunes):
			return s3err.Newf(s3err.InvalidTag, "The TagKey you have provided is invalid").With("TagKey", t.Key)
		case !tagText(t.Value, tagValueRunes):
			return s3err.Newf(s3err.InvalidTag, "The TagValue you have provided is invalid").With("TagKey", t.Key).With("TagValue", t.Value)
		case strings.HasPrefix(t.Key, "aws:"):
			return s3err.Newf(s3err.InvalidTag, "System tags cannot be added/updated by requester").With("TagKey", t.Key)
		case known[t.Key]:
			return s3err.Newf(s3err.InvalidTag, "Cannot provide multiple Tags with the same key").With("TagKey", t.Key)
		}
		known[t.Key] = true
	}
	return nil
}

// tagText says whether a key or value of a tag is short enough and made of letters, digits,
// spaces and the punctuation that S3 takes.
func tagText(s string, runesMax int) bool {
	if utf8.RuneCountInString(s) > runesMax {
		return false
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !unicode.IsSpace(r) && !strings.ContainsRune(tagPunctuation, r) {
			return false
		}
	}
	return true
}
