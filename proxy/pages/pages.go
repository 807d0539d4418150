// Package pages makes the answers that the proxy gives itself: why a host shows nothing, in HTML, plain text or JSON.
package pages

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"unicode"
)

//go:embed page.html
var pageTemplate string

//go:embed page.css
var style string

var page = template.Must(template.New("page").Parse(pageTemplate))

// contentSecurityPolicy allows nothing but our own style, which it knows by its hash.
var contentSecurityPolicy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// Page is one answer.
type Page struct {
	// Status is the status of the answer.
	Status int
	// Code names the reason for programs; it never changes.
	Code string
	// Title says in one line what is the matter.
	Title string
	// Detail says what it means for the reader.
	Detail string
	// Label is the state in a word or two.
	Label string
	// Tone is how the label looks: "wait", "halt" or "failed".
	Tone string
	// Service is the name of the service, if there is one.
	Service string
	// State is the state of the service, if there is one.
	State string
	// Message is what the control plane has to say, if anything.
	Message string
	// RetryAfter is after how many seconds another try makes sense; 0 for never.
	RetryAfter int
	// Refresh is after how many seconds the page loads itself again; 0 for never.
	Refresh int
}

// Write answers the request with the page in the form that it asks for.
func (p Page) Write(writer http.ResponseWriter, request *http.Request) error {
	p.Title, p.Service, p.Message = clean(p.Title), clean(p.Service), clean(p.Message)
	if request.Method != http.MethodGet {
		p.Refresh = 0
	}
	contentType, body, err := p.render(request.Header["Accept"])
	if err != nil {
		return err
	}
	header := writer.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	if p.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	writer.WriteHeader(p.Status)
	if request.Method == http.MethodHead {
		return nil
	}
	// Whoever went away without waiting for the answer does not miss it.
	_, _ = writer.Write(body)
	return nil
}

func (p Page) render(accept []string) (contentType string, body []byte, err error) {
	var buffer bytes.Buffer
	switch chooseForm(accept) {
	case formHTML:
		view := struct {
			Page
			Style template.CSS
		}{p, template.CSS(style)}
		err = page.Execute(&buffer, view)
		return "text/html; charset=utf-8", buffer.Bytes(), err
	case formJSON:
		encoder := json.NewEncoder(&buffer)
		err = encoder.Encode(problem{Type: "about:blank", Title: p.Title, Status: p.Status, Detail: p.Detail, Code: p.Code,
			Service: p.Service, State: p.State, Message: p.Message})
		return "application/problem+json", buffer.Bytes(), err
	default:
		buffer.WriteString(p.Title + "\n" + p.Detail + "\n")
		if p.Message != "" {
			buffer.WriteString("\n" + p.Message + "\n")
		}
		return "text/plain; charset=utf-8", buffer.Bytes(), nil
	}
}

// problem is the JSON form, after RFC 9457.
type problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Code    string `json:"code"`
	Service string `json:"service,omitempty"`
	State   string `json:"state,omitempty"`
	Message string `json:"message,omitempty"`
}

type form int

const (
	formText form = iota
	formHTML
	formJSON
)

// chooseForm takes the first form that the client names and does not refuse. Clients that take anything, as curl does, get text.
func chooseForm(accept []string) form {
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(item, ";")
			if quality := strings.ReplaceAll(parameters, " ", ""); quality == "q=0" || quality == "q=0.0" {
				continue
			}
			kind = strings.ToLower(strings.TrimSpace(kind))
			switch {
			case kind == "text/html" || kind == "application/xhtml+xml":
				return formHTML
			case kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"):
				return formJSON
			case kind == "text/plain":
				return formText
			}
		}
	}
	return formText
}

// clean takes out what could steer a terminal or reorder text; line feeds and tabs stay.
func clean(text string) string {
	return strings.Map(func(character rune) rune {
		switch {
		case character == '\n' || character == '\t':
			return character
		case unicode.IsControl(character) || unicode.Is(unicode.Bidi_Control, character):
			return -1
		}
		return character
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
