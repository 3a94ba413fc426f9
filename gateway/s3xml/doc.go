// Package s3xml writes and reads the XML documents of S3.
//
// Answers are appended to a byte slice by hand: a page of 1,000 keys is the dearest
// answer that a gateway makes without touching a drive, and a reflecting encoder costs
// ten times as much. Requests are read by a small strict parser: it knows elements,
// text, character references and nothing else of XML (no document types, no entities
// of a document's own, no processing instructions), refuses elements that the document
// does not have and elements that come twice, and bounds depth and number of elements.
// The caller bounds the size of the text.
//
// Order and names of elements are those that AWS sends
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html).
package s3xml
