package route

import (
	"fmt"
	"strings"
)

// maximumHostLength is the longest name that DNS can carry, without the trailing dot.
const maximumHostLength = 253

// ParseHost reads a host name from the control plane: DNS labels, in any case, with or without the trailing dot, never with a port.
func ParseHost(text string) (string, error) {
	host := strings.ToLower(strings.TrimSuffix(text, "."))
	if host == "" {
		return "", fmt.Errorf("a host is not empty")
	}
	if len(host) > maximumHostLength {
		return "", fmt.Errorf("a host is at most %d characters long, not %d", maximumHostLength, len(host))
	}
	for label := range strings.SplitSeq(host, ".") {
		if err := checkLabel(label); err != nil {
			return "", err
		}
	}
	return host, nil
}

func checkLabel(label string) error {
	if label == "" || len(label) > 63 {
		return fmt.Errorf("a label of a host is 1 to 63 characters long, not %d", len(label))
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return fmt.Errorf("a label of a host neither begins nor ends with a hyphen")
	}
	for _, character := range []byte(label) {
		switch {
		case character >= 'a' && character <= 'z', character >= '0' && character <= '9', character == '-', character == '_':
		default:
			return fmt.Errorf("a host consists of letters, digits, hyphens, underscores and dots")
		}
	}
	return nil
}

// RequestHost turns the Host of a request into a key of the table: no port, no trailing dot, lower case. It never fails, since a
// key that nobody could have put there is simply not found. It allocates only for a host with capital letters.
func RequestHost(host string) string {
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && strings.IndexByte(host[colon:], ']') < 0 {
		host = host[:colon]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
