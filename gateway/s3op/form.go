package s3op

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"net/textproto"
	"path"
	"strings"
	"unicode/utf8"

	"shoal/gateway/s3err"
)

// Bounds of a form before its file, as S3 has them
// (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html).
const (
	formFieldsBytes = 20 << 10 // of all names and values
	formHeaderBytes = 4 << 10  // of the headers of one part
	formFieldsMax   = 100
	formBuffer      = 32 << 10
)

// form is a POST form up to the content of its file.
type form struct {
	fields   map[string]string // by name in lower case
	order    []string
	filename string
	fileType string
	file     *formFile
	offset   int64 // of the content in the body
	delim    string
}

// parseForm reads the fields of a form and stops where the content of its file begins.
func parseForm(contentType string, body io.Reader) (*form, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || kind != "multipart/form-data" || boundary == "" || len(boundary) > 70 {
		return nil, s3err.New(s3err.RequestIsNotMultiPartContent)
	}
	p := &formParser{br: bufio.NewReaderSize(body, formBuffer), delim: "\r\n--" + boundary}
	f := &form{fields: make(map[string]string), delim: p.delim}
	if err := p.expect(p.delim[2:]); err != nil {
		return nil, err
	}
	for {
		if err := p.expect("\r\n"); err != nil {
			return nil, err
		}
		name, filename, fileType, err := p.header()
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(name, "file") {
			f.filename, f.fileType, f.offset = filename, fileType, p.read
			f.file = &formFile{br: p.br, delim: []byte(p.delim)}
			return f, nil
		}
		value, err := p.value(name)
		if err != nil {
			return nil, err
		}
		if err := f.add(strings.ToLower(name), value); err != nil {
			return nil, err
		}
		end, err := p.br.Peek(2)
		if err != nil || string(end) == "--" {
			return nil, s3err.Newf(s3err.InvalidArgument, "POST requires exactly one file upload per request.").With("ArgumentName", "file").With("ArgumentValue", "0")
		}
	}
}

func (f *form) add(name, value string) error {
	if _, again := f.fields[name]; again {
		return errInvalidArgument(name, value, "The field was sent more than once.")
	}
	if len(f.order) == formFieldsMax {
		return s3err.New(s3err.MaxPostPreDataLengthExceededError)
	}
	f.fields[name] = value
	f.order = append(f.order, name)
	return nil
}

// formParser reads a form front to back.
type formParser struct {
	br    *bufio.Reader
	delim string // "\r\n--" and the boundary
	read  int64  // bytes behind
	used  int    // bytes of names and values so far
}

func malformedForm() error { return s3err.New(s3err.MalformedPOSTRequest) }

// expect steps over text that must come.
func (p *formParser) expect(text string) error {
	got, err := p.br.Peek(len(text))
	if err != nil && err != io.EOF {
		return err
	}
	if string(got) != text {
		return malformedForm()
	}
	p.skip(len(text))
	return nil
}

func (p *formParser) skip(n int) {
	n, _ = p.br.Discard(n) // they were peeked at
	p.read += int64(n)
}

// header reads the headers of a part.
func (p *formParser) header() (name, filename, fileType string, err error) {
	for total := 0; ; {
		line, err := p.br.ReadSlice('\n')
		p.read += int64(len(line))
		if total += len(line); total > formHeaderBytes || err == bufio.ErrBufferFull {
			return "", "", "", s3err.New(s3err.MaxPostPreDataLengthExceededError)
		}
		text, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if err == io.EOF || err == nil && !ok {
			return "", "", "", malformedForm()
		}
		if err != nil {
			return "", "", "", err
		}
		if len(text) == 0 {
			if name == "" {
				return "", "", "", malformedForm()
			}
			return name, filename, fileType, nil
		}
		key, value, ok := strings.Cut(string(text), ":")
		if !ok {
			return "", "", "", malformedForm()
		}
		switch textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(key)) {
		case "Content-Disposition":
			kind, params, err := mime.ParseMediaType(value)
			if err != nil || kind != "form-data" || name != "" || !utf8.ValidString(params["name"]) {
				return "", "", "", malformedForm()
			}
			name, filename = params["name"], baseName(params["filename"])
		case "Content-Type":
			fileType = strings.TrimSpace(value)
		}
	}
}

// baseName is what S3 puts in place of ${filename}: a name without directories.
func baseName(name string) string {
	name = strings.ReplaceAll(name, `\`, "/")
	if name = path.Base(name); name == "." || name == "/" || !utf8.ValidString(name) {
		return ""
	}
	return name
}

// value reads the value of a field, up to the next delimiter.
func (p *formParser) value(name string) (string, error) {
	f := &formFile{br: p.br, delim: []byte(p.delim)}
	p.used += len(name)
	text, err := io.ReadAll(io.LimitReader(f, formFieldsBytes-int64(min(p.used, formFieldsBytes))+1))
	p.read += int64(len(text))
	if err != nil {
		return "", err
	}
	if p.used += len(text); p.used > formFieldsBytes {
		return "", s3err.New(s3err.MaxPostPreDataLengthExceededError)
	}
	if !utf8.Valid(text) {
		return "", malformedForm()
	}
	p.skip(len(p.delim))
	return string(text), nil
}

// formFile is the content of a part: what comes before the next delimiter. A body that ends
// before gives io.ErrUnexpectedEOF.
type formFile struct {
	br    *bufio.Reader
	delim []byte
}

// Read gives content.
func (f *formFile) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	_, err := f.br.Peek(len(f.delim))
	have, _ := f.br.Peek(f.br.Buffered()) // cannot fail
	at := bytes.Index(have, f.delim)
	switch {
	case at == 0:
		return 0, io.EOF
	case at > 0:
		return f.br.Read(b[:min(len(b), at)])
	case err == io.EOF:
		return 0, io.ErrUnexpectedEOF
	case err != nil:
		return 0, err
	}
	return f.br.Read(b[:min(len(b), len(have)-len(f.delim)+1)])
}
