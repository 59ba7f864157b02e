//! What a node tells everybody about itself, in words of its owner.

use std::collections::BTreeMap;

pub use tidings_crypto::{MAX_LABEL_BYTES, MAX_LABELS};

/// Labels of a node, `key=value` each: at most [`MAX_LABELS`], each at most [`MAX_LABEL_BYTES`] with its `=`.
///
/// They travel in the node's announcement to everybody on its island, signed, and are no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

/// Why labels cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// There are more than [`MAX_LABELS`].
    #[error("expected at most {MAX_LABELS} labels, got {got}")]
    TooMany {
        /// How many there are.
        got: usize,
    },
    /// One is longer than [`MAX_LABEL_BYTES`].
    #[error("expected labels of at most {MAX_LABEL_BYTES} bytes, got {} in {label:?}", label.len())]
    TooLong {
        /// Which.
        label: String,
    },
    /// One is not of the form `key=value`.
    #[error(
        "expected a label like room=kitchen, its key of lower-case letters, digits, '.', '-' and '_', no control \
         characters in its value, got {label:?}"
    )]
    Form {
        /// Which.
        label: String,
    },
    /// Two have the same key.
    #[error("expected each key once, got {key:?} twice")]
    Twice {
        /// Which.
        key: String,
    },
}

impl Labels {
    /// Checks labels.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] for the first that cannot be told.
    pub fn new<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, LabelsError> {
        let mut labels = BTreeMap::new();
        for (key, value) in pairs {
            let (key, value) = (key.into(), value.into());
            check(&key, &value)?;
            if labels.contains_key(&key) {
                return Err(LabelsError::Twice { key });
            }
            labels.insert(key, value);
        }
        if labels.len() > MAX_LABELS {
            return Err(LabelsError::TooMany { got: labels.len() });
        }
        Ok(Self(labels))
    }

    /// Reads and checks texts of the form `key=value`.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] for the first that cannot be told.
    pub fn from_texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, LabelsError> {
        let pairs: Result<Vec<(String, String)>, LabelsError> =
            texts.into_iter().map(|text| pair(text.as_ref())).collect();
        Self::new(pairs?)
    }

    /// Returns them by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns them as they travel.
    pub fn texts(&self) -> Vec<String> {
        self.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }
}

fn pair(text: &str) -> Result<(String, String), LabelsError> {
    let (key, value) = text.split_once('=').ok_or_else(|| LabelsError::Form { label: text.to_owned() })?;
    Ok((key.to_owned(), value.to_owned()))
}

fn check(key: &str, value: &str) -> Result<(), LabelsError> {
    let label = format!("{key}={value}");
    if label.len() > MAX_LABEL_BYTES {
        return Err(LabelsError::TooLong { label });
    }
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if key.is_empty() || !key.bytes().all(fits) || value.chars().any(char::is_control) {
        return Err(LabelsError::Form { label });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_by_their_first_equals_sign() {
        let labels = Labels::from_texts(["room=kitchen", "sum=1+1=2", "empty="]).unwrap();
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(pairs, [("empty", ""), ("room", "kitchen"), ("sum", "1+1=2")]);
        assert_eq!(labels.texts(), ["empty=", "room=kitchen", "sum=1+1=2"]);
    }

    #[test]
    fn what_cannot_be_told_is_refused_by_name() {
        let refused = |texts: &[&str]| Labels::from_texts(texts).unwrap_err();
        for label in ["kitchen", "=kitchen", "Room=kitchen", "ro om=kitchen", "room=a\nb", "räume=1"] {
            assert_eq!(refused(&[label]), LabelsError::Form { label: label.to_owned() });
        }
        let longest = format!("room={}", "k".repeat(MAX_LABEL_BYTES - 5));
        assert!(Labels::from_texts([&longest]).is_ok());
        let label = format!("{longest}k");
        assert_eq!(refused(&[&label]), LabelsError::TooLong { label: label.clone() });
        assert_eq!(refused(&["a=1", "a=2"]), LabelsError::Twice { key: "a".to_owned() });
        let many: Vec<String> = (0..=MAX_LABELS).map(|n| format!("k{n}=1")).collect();
        assert_eq!(Labels::from_texts(many), Err(LabelsError::TooMany { got: MAX_LABELS + 1 }));
    }
}
