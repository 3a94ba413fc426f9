package s3xml

import "shoal/node/api"

// MaxTagging bounds a document of tags in bytes: 50 tags of keys and values as long as they
// may be, escaped.
const MaxTagging = 256 << 10

// tagsMax bounds the tags of one document; what a bucket or an object may have is less, and
// the caller's to say.
const tagsMax = 100

// Tag is one tag of a bucket or an object.
type Tag = api.Tag

// ParseTagging reads the document of PutBucketTagging and PutObjectTagging. Tags are in the
// order of the document, and may come twice. ErrMalformed for what the document cannot be.
func ParseTagging(text []byte) ([]Tag, error) {
	p, err := newParser(text, tagsMax*3+16)
	if err != nil {
		return nil, err
	}
	var tags []Tag
	found := false
	err = p.document("Tagging", func(name string) error {
		if name != "TagSet" || found {
			return malformed("element %s", name)
		}
		found = true
		tags, err = p.tagSet()
		return err
	})
	if err == nil && !found {
		err = malformed("no TagSet")
	}
	return tags, err
}

// tagSet reads the Tag elements inside the element that is open.
func (p *parser) tagSet() ([]Tag, error) {
	var tags []Tag
	err := p.children(func(name string) error {
		if name != "Tag" {
			return malformed("element %s", name)
		}
		if len(tags) == tagsMax {
			return malformed("more than %d tags", tagsMax)
		}
		tag, err := p.tag()
		tags = append(tags, tag)
		return err
	})
	return tags, err
}

// tag reads the Key and Value inside a Tag element.
func (p *parser) tag() (Tag, error) {
	var tag Tag
	once := seen{}
	err := p.children(func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		text, err := p.text()
		switch {
		case err != nil:
			return err
		case name == "Key":
			tag.Key = text
		case name == "Value":
			tag.Value = text
		default:
			return malformed("element %s", name)
		}
		return nil
	})
	if err == nil && (!once["Key"] || !once["Value"]) {
		err = malformed("tag without key or value")
	}
	return tag, err
}

// AppendTagging appends the document of GetBucketTagging and GetObjectTagging
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketTagging.html).
func AppendTagging(b []byte, tags []Tag) []byte {
	const root = "Tagging"
	b = open(begin(b, root), "TagSet")
	for _, t := range tags {
		b = appendTag(b, t)
	}
	return end(shut(b, "TagSet"), root)
}

func appendTag(b []byte, t Tag) []byte {
	b = element(open(b, "Tag"), "Key", t.Key)
	return shut(element(b, "Value", t.Value), "Tag")
}
