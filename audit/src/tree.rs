//! The Merkle tree over all lines (RFC 6962 section 2.1), kept as the hashes
//! of its complete subtrees: what is needed to add a leaf or to say the root,
//! and no more.

use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// Hash of a leaf, given in pieces.
#[must_use]
pub fn leaf_hash(pieces: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    pieces.iter().for_each(|piece| hash.update(piece));
    hash.finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    let (halves, _) = bytes.split_at_mut(1).1.as_chunks_mut();
    halves.iter_mut().zip([left, right]).for_each(|(half, hash)| *half = *hash);
    Sha256::digest(bytes).into()
}

/// A tree that grows at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    /// One for each bit of the size that is set, the largest subtree first.
    peaks: Vec<Hash>,
}

impl Tree {
    /// A tree of this size with these complete subtrees; `None` where their
    /// number is not that of the size's set bits.
    #[must_use]
    pub fn new(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Adds a leaf's hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each set bit at the low end is a subtree as large as what we carry.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return Sha256::digest(b"").into();
        };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The complete subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// The definition of RFC 6962 section 2.1, as it stands there.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest(b"").into(),
            [one] => *one,
            many => {
                let k = many.len().next_power_of_two() / 2;
                node_hash(&root(&many[..k]), &root(&many[k..]))
            }
        }
    }

    #[test]
    fn it_is_the_tree_of_the_definition() {
        let leaves: Vec<Hash> = (0..200u8).map(|i| leaf_hash(&[&[i]])).collect();
        let mut tree = Tree::default();
        assert_eq!(tree.root(), root(&[]));
        for (i, leaf) in leaves.iter().enumerate() {
            tree.push(*leaf);
            assert_eq!(tree.root(), root(&leaves[..=i]));
            assert_eq!(tree.size(), i as u64 + 1);
            assert_eq!(Tree::new(tree.size(), tree.peaks().to_vec()).unwrap(), tree);
            assert_eq!(Tree::new(tree.size() ^ 1, tree.peaks().to_vec()), None);
        }
    }

    #[test]
    fn a_leaf_in_pieces_is_the_leaf() {
        assert_eq!(leaf_hash(&[b"ab", b"", b"c"]), leaf_hash(&[b"abc"]));
    }
}
