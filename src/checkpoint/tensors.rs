//! Tensors in the safetensors format, which PyTorch, NumPy and others can read.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// A tensor: name, shape, and f32 elements in row-major order.
pub type NamedTensor = (String, Vec<i64>, Vec<f32>);

/// Greatest header size in bytes. Headers written here are smaller; a file with a larger one is rejected.
const HEADER: u64 = 16 << 20;

/// Encodes tensors as safetensors.
///
/// # Errors
/// If the number of elements of a tensor does not match its shape.
pub fn encode(tensors: &[NamedTensor]) -> Result<Vec<u8>, String> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let mut views = BTreeMap::new();
    for ((name, shape, _), data) in tensors.iter().zip(&bytes) {
        let shape = shape.iter().map(|&size| size.max(0) as usize).collect();
        let view =
            TensorView::new(Dtype::F32, shape, data).map_err(|error| format!("{name}: {error}"))?;
        views.insert(name.as_str(), view);
    }
    safetensors::serialize(views, None).map_err(|error| error.to_string())
}

/// Decodes tensors from safetensors.
///
/// # Errors
/// If the bytes are not valid safetensors, or a tensor is not f32.
pub fn decode(bytes: &[u8]) -> Result<Vec<NamedTensor>, String> {
    let header = bytes.first_chunk::<8>().map(|n| u64::from_le_bytes(*n));
    if let Some(header) = header.filter(|&header| header > HEADER) {
        return Err(format!(
            "has a header of {header} bytes; at most {HEADER} are supported"
        ));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    file.iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(format!(
                    "{name}: has dtype {:?}, expected F32",
                    view.dtype()
                ));
            }
            let shape = view.shape().iter().map(|&size| size as i64).collect();
            let values = view
                .data()
                .chunks_exact(4)
                .filter_map(|b| b.try_into().ok())
                .map(f32::from_le_bytes);
            Ok((name.to_owned(), shape, values.collect()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn tensors_round_trip_bit_for_bit() {
        let tensors = vec![
            (
                "a.weight".to_owned(),
                vec![2, 2],
                vec![1.0, -0.0, f32::MIN_POSITIVE, 3.5],
            ),
            ("b".to_owned(), vec![], vec![7.0]),
        ];
        let back = decode(&encode(&tensors).unwrap()).unwrap();
        assert_eq!(back.len(), 2);
        for tensor in tensors {
            assert!(back.contains(&tensor), "{tensor:?} in {back:?}");
        }
    }

    #[test]
    fn wrong_sizes_are_rejected() {
        assert!(encode(&[("a".to_owned(), vec![3], vec![1.0])]).is_err());
        assert!(decode(b"\xff\xff\xff\xff\xff\xff\xff\xff{}").is_err());
    }
}
