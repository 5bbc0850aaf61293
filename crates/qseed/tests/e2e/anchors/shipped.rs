//! The anchor commands of packaging/anchors.
