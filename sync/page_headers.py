"""Headers that tell a browser to be careful, the same in the car and at the department.

What a page may load (Content-Security-Policy) each side says itself: the car's has a script, the others none.
"""

CAREFUL = (
    (b"strict-transport-security", b"max-age=31536000"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
