package task

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds a value that shows itself to nobody who prints, logs or encodes
// it, or anything it is part of. The zero value holds none.
type Secret[T any] struct {
	// A function, for fmt does not ask the methods of what is in an unexported
	// field: it would print a value there, and of a function only the address.
	reveal func() T
}

// Hide makes a secret of a value.
func Hide[T any](value T) Secret[T] { return Secret[T]{func() T { return value }} }

// Reveal returns the value, the zero value if there is none.
func (s Secret[T]) Reveal() T {
	if s.reveal == nil {
		var none T
		return none
	}
	return s.reveal()
}

// IsZero tells whether it holds no value.
func (s Secret[T]) IsZero() bool { return s.reveal == nil }

// String returns the same for every secret.
func (Secret[T]) String() string { return redacted }

// GoString is String for %#v.
func (Secret[T]) GoString() string { return redacted }

// Format writes the same for every verb.
func (Secret[T]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText is String for encoders of text.
func (Secret[T]) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON is String for JSON.
func (Secret[T]) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue is String for log/slog.
func (Secret[T]) LogValue() slog.Value { return slog.StringValue(redacted) }
