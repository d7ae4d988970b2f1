// Written by gateway/console/build.mjs; do not edit.
[
    ("console.js", include_bytes!("console.js.gz")),
    ("icon.svg", include_bytes!("icon.svg.gz")),
    ("index.html", include_bytes!("index.html.gz")),
    ("licenses.txt", include_bytes!("licenses.txt.gz")),
    ("style.css", include_bytes!("style.css.gz")),
]
